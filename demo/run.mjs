/**
 * The main job, seen from the outside, with no server, no network and no git: one remote, two clones, eight
 * writers at once, a sync that merges, and a count at the end. Exits with 1 if any note is missing or there twice.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WRITERS_PER_CLONE = 4;
const NOTES_PER_WRITER = 3;
const INBOX = 'inbox';
const MERGED_NOTE = 'recipes/Mühlgasse Sourdough.md';

const kbCommand = fileURLToPath(new URL('../bin/run.js', import.meta.url));
const vault = fileURLToPath(new URL('vault', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'kb-demo-'));
const env = {
  ...withoutKbVariables(process.env),
  PATH: join(place, 'no-programs-here'), // proves that nothing calls git
  HOME: place,
  XDG_CONFIG_HOME: join(place, 'config'),
  GIT_CONFIG_NOSYSTEM: '1',
};

try {
  await runDemo();
} finally {
  rmSync(place, { recursive: true, force: true });
}

async function runDemo() {
  say('A sample vault becomes a KB, shared through a bare repository in a directory');
  cpSync(vault, join(place, 'ann'), { recursive: true });
  await kb('Ann', '.', 'init', 'ann', '--remote', 'remote.git');
  await kb('Ann', 'ann', 'sync', '--message', 'The vault as it was');

  say('Ben clones it');
  await kb('Ben', '.', 'clone', 'remote.git', 'ben');

  say(`${2 * WRITERS_PER_CLONE} writers at once, ${NOTES_PER_WRITER} notes each, from both clones`);
  const wanted = await writeAllAtOnce();

  say('Ann edits one end of a note, Ben the other; both sync');
  await kb('Ben', 'ben', 'sync', '--quiet');
  await kb('Ann', 'ann', 'sync', '--quiet');
  reviseHeading(join(place, 'ann', MERGED_NOTE));
  appendFileSync(join(place, 'ben', MERGED_NOTE), '\nBen: the levain wants ten minutes more in winter.\n');
  await kb('Ann', 'ann', 'sync');
  await kb('Ben', 'ben', 'sync');
  await kb('Ann', 'ann', 'sync');

  say('The state of a clone');
  await kb('Ann', 'ann', 'status');

  say('Summary, counted in a fresh clone');
  await kb('Cy', '.', 'clone', 'remote.git', 'check', '--quiet');
  summarize(wanted);
}

async function writeAllAtOnce() {
  const started = performance.now();
  const wanted = [];
  const writers = [];
  for (const clone of ['ann', 'ben']) {
    for (let writer = 1; writer <= WRITERS_PER_CLONE; writer += 1) {
      const texts = Array.from(
        { length: NOTES_PER_WRITER },
        (_, note) => `Note ${note + 1} of writer ${writer} in ${clone}`,
      );
      wanted.push(...texts);
      writers.push(writeInTurn(`${clone} ${writer}`, clone, texts));
    }
  }
  await Promise.all(writers);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`    ${wanted.length} notes in ${seconds} s; each was on the remote when its command ended`);
  return wanted;
}

async function writeInTurn(name, clone, texts) {
  for (const text of texts) await run(name, clone, ['note', '--dir', INBOX, text]);
}

function reviseHeading(file) {
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^(# .*)$/m, '$1 (revised)'));
}

function summarize(wanted) {
  const inbox = join(place, 'check', INBOX);
  const texts = readdirSync(inbox).map((name) => readFileSync(join(inbox, name), 'utf8'));
  const counts = wanted.map((text) => texts.filter((content) => content.includes(`${text}\n`)).length);
  const merged = readFileSync(join(place, 'check', MERGED_NOTE), 'utf8');
  const once = counts.filter((count) => count === 1).length;
  const checks = [
    [`${wanted.length} notes written, ${once} landed exactly once`, once === wanted.length],
    ['both edits of one note are in it', merged.includes('(revised)') && merged.includes('ten minutes more')],
    ['no conflict marker anywhere', ![merged, ...texts].some((text) => text.includes('<<<<<<<'))],
  ];
  for (const [what, holds] of checks) console.log(`    ${holds ? 'ok  ' : 'FAIL'} ${what}`);
  if (!checks.every(([, holds]) => holds)) process.exitCode = 1;
}

async function kb(who, directory, ...args) {
  console.log(`  ${who}$ kb ${args.map((arg) => (/[\s"]/.test(arg) ? JSON.stringify(arg) : arg)).join(' ')}`);
  const { stdout, stderr } = await run(who, directory, args);
  const lines = (stderr + stdout).split('\n').filter((text) => text !== '');
  for (const line of lines) console.log(`    ${line.replaceAll(`${place}/`, '')}`);
}

function run(who, directory, args) {
  const email = `${who.replaceAll(' ', '-').toLowerCase()}@example.org`;
  const options = {
    cwd: join(place, directory),
    env: { ...env, GIT_AUTHOR_NAME: who, GIT_AUTHOR_EMAIL: email },
    stdio: ['ignore', 'pipe', 'pipe'],
  };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [kbCommand, ...args], options);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve({ stdout, stderr });
      else reject(new Error(`kb ${args[0]} (${who}) ended with ${code}: ${stderr}${stdout}`));
    });
  });
}

function withoutKbVariables(variables) {
  return Object.fromEntries(
    Object.entries(variables).filter(([name]) => !/^(KB_|GIT_|GITHUB_|GH_|REPO_URL$)/.test(name)),
  );
}

function say(text) {
  console.log(`\n${text}`);
}
