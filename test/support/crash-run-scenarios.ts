import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isKbError } from '../../src/errors.js';
import { runCommand, type FailurePolicy } from '../../src/kb/run.js';
import type { Surroundings } from '../../src/kb/surroundings.js';
import { forgetRun } from '../../src/kb/run/journal.js';
import type { SimulatedProcess } from './crash-processes.js';
import type { Scenario } from './crash-scenarios.js';
import { LINES, pushFromElsewhere, startKb, syncOnce, withKb, write, type Site } from './crash-site.js';
import type { Stage } from './crash-stage.js';
import { git } from './native-git.js';

/** Runs a shell script as the command of a `kb run`. */
export async function runOnce(world: Surroundings, script: string, onFailure: FailurePolicy = 'stash'): Promise<void> {
  await withKb(world, (kb) =>
    runCommand(kb, {
      command: ['/bin/sh', '-c', script],
      push: true,
      onFailure,
      topicsOnly: false,
      output: 'ignore',
      foreground: false,
    }),
  );
}

/** The command changes files, one more and one less, and says outside of the KB that it has done so. */
async function run(
  stage: Stage,
  by: SimulatedProcess,
  { fails = false, onFailure = 'stash' }: { readonly fails?: boolean; readonly onFailure?: FailurePolicy } = {},
): Promise<void> {
  const { ledger } = stage;
  const [appended, added] = [stage.token(), stage.token()];
  for (const token of [appended, added]) ledger.promise(token, 'at most once');
  const script =
    `echo ${appended} >> diary.md; mkdir -p made; echo ${added} > made/new.md; echo 'in it' > becomes-folder; ` +
    `printf %s '${appended} ${added}' > '${ranFile(stage)}'; exit ${fails ? 1 : 0}`;
  forgetRunsOnceKilled(by);
  try {
    await runOnce(by.world, script, onFailure);
    for (const token of [appended, added]) ledger.promise(token, 'once');
    if (fails) stage.problems.push('a command failed, and nobody was told');
  } catch (error) {
    if (!fails || !isKbError(error, 'E_COMMAND')) throw error;
    // Where its disk keeps it from that, the changes are left in the files, and the error says so.
    const isPutAway = error.details['changes'] !== null;
    for (const token of [appended, added]) if (isPutAway) ledger.promise(token, 'never');
    if (isPutAway && typeof error.details['stash'] !== 'string' && onFailure === 'stash')
      stage.problems.push('nobody was told where the changes of a command that failed are');
  } finally {
    by.end();
  }
}

/** What this very process remembers of its own runs is gone with the process that was killed. */
export function forgetRunsOnceKilled(by: SimulatedProcess): void {
  const onKill = by.failing.onKill;
  by.failing.onKill = () => {
    onKill?.();
    forgetRuns(by.site);
  };
}

/** What another process knows of the runs that are under way here: nothing but their journals. */
export function forgetRuns({ kb }: Site): void {
  const folder = join(kb, '.git/kb');
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (!/^run-.*\.json$/.test(name)) continue;
    forgetRun((JSON.parse(readFileSync(join(folder, name), 'utf8')) as { token: string }).token);
  }
}

function ranFile({ site }: Stage): string {
  return join(site.root, 'ran');
}

/** What a command has done is on the remote, or under a name that kb gave it. */
function nothingLost(stage: Stage): string[] {
  const { site } = stage;
  if (!existsSync(ranFile(stage))) return [];
  const saved = git(site.kb, ['log', '-p', '--format=', '--glob=refs/kb/stash/*', 'refs/remotes/origin/main']);
  const [appended = '', added = ''] = stage.ledger.tokens.slice(-2);
  return [appended, added]
    .filter((token) => !saved.includes(`+${token}`))
    .map((token) => `what a command did is nowhere (${token})`);
}

function editByHand(stage: Stage): void {
  const token = stage.token();
  stage.ledger.promise(token, 'once'); // it lies in the work tree
  write(stage.site.kb, { 'mine.md': `${token}\n` });
}

/** Commands that kb runs. */
export const RUN_SCENARIOS: readonly Scenario[] = [
  {
    name: 'a run, with notes of three dead writers, beside an edit by hand',
    prepare: async (stage) => {
      await startKb(stage.site);
      await stage.whileHeld(async () => {
        for (const path of ['deep/er/three.md', 'inbox/one.md'])
          await stage.leaveEntry({ target: { kind: 'append', path } });
        await stage.leaveEntry();
      });
      editByHand(stage);
    },
    act: (stage, victim) => run(stage, victim),
    check: nothingLost,
  },
  {
    name: 'a run, the remote has moved',
    prepare: async ({ site }) => {
      await startKb(site);
      pushFromElsewhere(site, (work) => write(work, { 'diary.md': LINES.replace('line 1\n', 'line 1, remotely\n') }));
    },
    act: (stage, victim) => run(stage, victim),
    check: nothingLost,
  },
  {
    name: 'a run whose command fails, beside an edit by hand',
    prepare: async (stage) => {
      await startKb(stage.site);
      editByHand(stage);
    },
    act: (stage, victim) => run(stage, victim, { fails: true }),
    check: nothingLost,
  },
  {
    name: 'a run whose command fails, to be discarded',
    prepare: ({ site }) => startKb(site),
    act: (stage, victim) => run(stage, victim, { fails: true, onFailure: 'discard' }),
  },
  {
    name: 'a sync after a run that was killed with its command done',
    prepare: async (stage) => {
      await startKb(stage.site);
      editByHand(stage);
      const victim = stage.start('dead-holder');
      const ran = ranFile(stage);
      victim.failing.killWhen = () => existsSync(ran);
      await run(stage, victim).catch(() => undefined);
      if (!victim.isKilled) throw new Error('the run was to be killed');
    },
    act: (_stage, { world }) => syncOnce(world),
    check: nothingLost,
    onlyByPath: true,
  },
];
