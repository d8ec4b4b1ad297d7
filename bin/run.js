#!/usr/bin/env node
'use strict';

// CommonJS, and `require` only where it is needed: as an ES module this file alone would cost every start 3 ms.
const { mkdirSync, readFileSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync } = require('node:fs');
const { isAbsolute, join } = require('node:path');

const root = join(__dirname, '..');
const { version, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const oldest = Number(/\d+/.exec(engines.node)[0]);
const argv = process.argv.slice(2);
/** Of the runs that find compiled code, the part that looks whether more of it is worth keeping. */
const GROWS_IN = 0.2;

/**
 * The program is one file. V8 keeps what it compiled of it, for each command by itself, in the user's cache:
 * the second start of a command then skips 20 ms of compiling. (Node's own compile cache, from Node 22 on, saves
 * 8 ms less: docs/performance.md, "Start-up".)
 */
function loadProgram() {
  const file = join(root, 'dist/program/kb.cjs');
  const cache = openCache(file);
  const { createRequire } = require('node:module');
  const { Script } = require('node:vm');
  const cachedData = cache?.read();
  // It is ASCII: as one byte a character it is read fastest.
  const script = new Script(readFileSync(file, 'latin1'), { filename: file, ...(cachedData && { cachedData }) });
  const program = { exports: {} };
  script.runInThisContext()(program.exports, createRequire(file), program, file, join(file, '..'));
  if (cache === undefined || !program.exports.hasCommand(argv[0] ?? '')) return program.exports;
  // At the end all functions that the command needed have been compiled; only those are kept. Another run may
  // need more of them (a remote that has moved, a conflict): what was kept then grows. To find that out takes 2 ms,
  // so one run in a few does.
  const known = cachedData === undefined || script.cachedDataRejected ? 0 : cache.compiledBytes;
  if (known > 0 && Math.random() > GROWS_IN) return program.exports;
  process.on('exit', () => {
    const compiled = require('node:v8').getHeapCodeStatistics().bytecode_and_metadata_size;
    if (compiled > known * 1.003) cache.write(script.createCachedData(), compiled);
  });
  return program.exports;
}

/**
 * What lies in the cache is executed. So it is never in the shared temporary directory, nor in the home of
 * another user, as under a `sudo` that keeps HOME; a file that is damaged is seen by its checksum.
 */
function openCache(program) {
  const { HOME, USERPROFILE, XDG_CACHE_HOME } = process.env;
  const home = XDG_CACHE_HOME || HOME || USERPROFILE;
  if (!home || !isAbsolute(home)) return undefined;
  const directory = join(XDG_CACHE_HOME || join(home, '.cache'), 'kb', 'compiled');
  const command = /^[a-z][a-z-]{0,19}$/.test(argv[0] ?? '') ? argv[0] : 'none';
  try {
    if (process.getuid !== undefined && statSync(home).uid !== process.getuid()) return undefined;
    const { size, mtimeMs } = statSync(program);
    const build = `${version}-${process.version}-${process.arch}-${size}-${Math.trunc(mtimeMs)}`;
    return new CodeCache(directory, build, command);
  } catch {
    return undefined; // no home: a start without a cache is slower, nothing more
  }
}

class CodeCache {
  constructor(directory, build, command) {
    this.directory = directory;
    this.build = build;
    this.file = join(directory, `${build}-${command}.bin`);
    /** V8's own count when what is in the file was kept. */
    this.compiledBytes = 0;
  }

  read() {
    try {
      const bytes = readFileSync(this.file);
      const data = bytes.subarray(24);
      if (!checksum(bytes.subarray(20)).equals(bytes.subarray(0, 20))) return undefined;
      this.compiledBytes = bytes.readUInt32LE(20);
      return data;
    } catch {
      return undefined;
    }
  }

  write(data, compiledBytes) {
    const temporary = `${this.file}.${process.pid}`;
    try {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(this.directory))
        if (!name.startsWith(this.build)) unlinkSync(join(this.directory, name));
      const body = Buffer.concat([Buffer.alloc(4), data]);
      body.writeUInt32LE(compiledBytes);
      writeFileSync(temporary, Buffer.concat([checksum(body), body]), { mode: 0o600 });
      renameSync(temporary, this.file);
    } catch {
      try {
        unlinkSync(temporary);
      } catch {
        // a cache that cannot be written is done without
      }
    }
  }
}

function checksum(data) {
  return require('node:crypto').createHash('sha1').update(data).digest();
}

if (Number.parseInt(process.versions.node, 10) < oldest) {
  process.stderr.write(`kb: Node ${process.versions.node} is too old; kb ${version} needs Node ${oldest} or newer.\n`);
  process.exitCode = 1;
} else if (argv[0] === '--version') {
  // Answered here, before anything else is loaded: prompts and scripts ask this most often.
  const facts = { version, node: process.versions.node, platform: process.platform, arch: process.arch };
  const text = `kb ${version} (node ${facts.node}, ${facts.platform} ${facts.arch})`;
  process.stdout.write(`${argv.includes('--json') ? JSON.stringify({ ok: true, ...facts }) : text}\n`);
} else {
  loadProgram().start(`${root}/`);
}
