#!/usr/bin/env node
'use strict';

// CommonJS, and `require` only where it is needed: as an ES module this file alone would cost every start 3 ms.
const {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} = require('node:fs');
const { isAbsolute, join } = require('node:path');

const root = join(__dirname, '..');
const { version, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const oldest = Number(/\d+/.exec(engines.node)[0]);
const argv = process.argv.slice(2);
/** Of the runs that find compiled code, the part that looks whether more of it is worth keeping. */
const GROWS_IN = 0.2;
/** V8 copies what does not begin at a multiple of eight. */
const HEADER_BYTES = 8;

/**
 * Each program is one file. V8 keeps what it compiled of it, for each command by itself, in the user's cache:
 * the second start of a command then skips 20 ms of compiling. (Node's own compile cache, from Node 22 on, saves
 * 8 ms less: docs/performance.md, "Start-up".)
 */
class Programs {
  constructor() {
    this.folder = join(root, 'dist/program');
    this.kept = openCache(this.folder);
    this.loaded = [];
  }

  /** @returns what the program exports */
  load(name) {
    const { createRequire } = require('node:module');
    const { Script } = require('node:vm');
    const file = join(this.folder, `${name}.cjs`);
    const cache = this.kept?.of(name);
    const cachedData = cache?.read();
    // It is ASCII: as one byte a character it is read fastest.
    const script = new Script(readFileSync(file, 'latin1'), { filename: file, ...(cachedData && { cachedData }) });
    const program = { exports: {} };
    script.runInThisContext()(program.exports, createRequire(file), program, file, this.folder);
    this.loaded.push({ script, cache, isKnown: cachedData !== undefined && !script.cachedDataRejected });
    return program.exports;
  }

  /**
   * At the end all functions that the command needed have been compiled; only those are kept. Another run may
   * need more of them (a remote that has moved, a conflict): what was kept then grows. To find that out takes 2 ms,
   * so one run in a few does.
   */
  keep() {
    if (this.kept === undefined) return;
    const isKnown = this.loaded.every((program) => program.isKnown);
    if (isKnown && Math.random() > GROWS_IN) return;
    process.on('exit', () => {
      const compiled = require('node:v8').getHeapCodeStatistics().bytecode_and_metadata_size;
      const known = isKnown ? Math.max(...this.loaded.map(({ cache }) => cache.compiledBytes)) : 0;
      if (compiled <= known * 1.003) return;
      for (const { script, cache } of this.loaded) cache.write(script.createCachedData(), compiled);
    });
  }
}

/**
 * What lies in the cache is executed. So it is never in the shared temporary directory, nor in the home of
 * another user, as under a `sudo` that keeps HOME; that a file is damaged is seen, for it holds everything twice.
 */
function openCache(folder) {
  const { HOME, USERPROFILE, XDG_CACHE_HOME } = process.env;
  const home = XDG_CACHE_HOME || HOME || USERPROFILE;
  if (!home || !isAbsolute(home)) return undefined;
  const directory = join(XDG_CACHE_HOME || join(home, '.cache'), 'kb', 'compiled');
  const command = /^[a-z][a-z-]{0,19}$/.test(argv[0] ?? '') ? argv[0] : 'none';
  try {
    const owner = statSync(home, { throwIfNoEntry: false })?.uid;
    // XDG_CACHE_HOME is made by who first writes to it (XDG Base Directory Specification); a home is nobody's to make.
    if (owner === undefined && !XDG_CACHE_HOME) return undefined;
    if (owner !== undefined && process.getuid !== undefined && owner !== process.getuid()) return undefined;
    const { size, mtimeMs } = statSync(join(folder, 'kb.cjs'));
    const build = `${version}-${process.version}-${process.arch}-${size}-${Math.trunc(mtimeMs)}`;
    return { of: (program) => new CodeCache(directory, build, `${command}-${program}`) };
  } catch {
    return undefined; // no home: a start without a cache is slower, nothing more
  }
}

/**
 * Compiled code in a file: V8's count of it, and the code, as two copies that are the same or not used. V8 itself finds
 * one flipped bit in twenty. (A checksum instead would cost every start the loading of node:crypto, 3 ms.)
 */
class CodeCache {
  constructor(directory, build, name) {
    this.directory = directory;
    this.build = build;
    this.file = join(directory, `${build}-${name}.bin`);
    /** V8's own count when what is in the file was kept. */
    this.compiledBytes = 0;
  }

  read() {
    try {
      const copy = readTwice(this.file);
      this.compiledBytes = copy?.readUInt32LE(0) ?? 0;
      return copy?.subarray(HEADER_BYTES);
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
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt32LE(compiledBytes);
      writeFileSync(temporary, Buffer.concat([header, data, header, data]), { mode: 0o600 });
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

/** @returns the first half of a file; undefined: the second is another one. Piece by piece, as new memory is what costs. */
function readTwice(file) {
  const descriptor = openSync(file, 'r');
  try {
    const half = fstatSync(descriptor).size / 2;
    if (!Number.isInteger(half)) return undefined;
    const copy = Buffer.allocUnsafeSlow(half);
    if (readSync(descriptor, copy, 0, half, 0) !== half) return undefined;
    const piece = Buffer.allocUnsafeSlow(Math.min(half, 64 * 1024));
    for (let at = 0; at < half; at += piece.length) {
      const length = readSync(descriptor, piece, 0, piece.length, half + at);
      if (copy.compare(piece, 0, length, at, Math.min(half, at + piece.length)) !== 0) return undefined;
    }
    return copy;
  } finally {
    closeSync(descriptor);
  }
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
  void run();
}

async function run() {
  const programs = new Programs();
  // What it asks is on its way while the rest is loaded. Should Node find nothing to wait for meanwhile and end, that
  // must not look like success.
  process.exitCode = 1;
  const isNote = argv[0] === 'note';
  // Who has to wait for the lock has nothing to ask. (The program looks again, wherever the KB is.)
  const mayAsk = isNote && !existsSync('.kb_operations.lock');
  const question = mayAsk ? await programs.load('ask').askFirst(argv.slice(1)) : undefined;
  process.exitCode = undefined;
  const { start, hasCommand } = programs.load(isNote ? 'note' : 'kb');
  // The answer may be there by now, and lead to the next request.
  for (let turn = 0; turn < 8 && question !== undefined; turn += 1) await new Promise(setImmediate);
  if (hasCommand(argv[0] ?? '')) programs.keep();
  start(`${root}/`, question);
}
