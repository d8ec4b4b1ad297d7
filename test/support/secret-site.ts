import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kb, type KbRun } from './kb.js';
import { makeTemporaryDirectory } from './native-git.js';

/** Where a secret is put. `$SEEN` stands for the folder of the recording programs, `$TOKEN` for a file with the secret. */
export interface Planting {
  readonly env?: Readonly<Record<string, string>>;
  /** Of `~/.gitconfig`. */
  readonly gitConfig?: string;
  readonly userConfig?: string;
  readonly netrc?: string;
  /** Of the URL that is cloned. */
  readonly userinfo?: string;
  /** The secret is the proxy's: the server lets everybody in. */
  readonly isProxys?: boolean;
  /** It is nowhere but in the URL that was typed: after the clone it is gone. */
  readonly isGoneAfterClone?: boolean;
}

/** What a program that kb started was given. */
export interface Seen {
  readonly program: string;
  readonly args: string;
  readonly env: string;
}

/** Before anything else in each process of kb, those in the background too: writes down what it was given. */
const RECORDER = `
const fs = require('fs');
const name = process.argv.includes('--auto') ? 'gc' : 'kb';
fs.writeFileSync(process.env.KB_TEST_SEEN + '/' + name + '.' + process.pid + '.args', process.argv.join(' '));
fs.writeFileSync(process.env.KB_TEST_SEEN + '/' + name + '.' + process.pid + '.env', Object.entries(process.env).map((pair) => pair.join('=')).join('\\n'));
`;

/** Whatever is sent over https fails like a bug of kb's own, and says all that it was given. */
const CRASH = `
const https = require('https');
https.request = (options) => { throw new TypeError('broken: ' + JSON.stringify(options)); };
`;

/** A user whose secret is in one place, and a program of each kind that writes down what it was given. */
export class SecretSite {
  readonly home = makeTemporaryDirectory();
  readonly place = makeTemporaryDirectory();
  readonly temporary = makeTemporaryDirectory();
  readonly seenDirectory = makeTemporaryDirectory();
  readonly outputs: string[] = [];

  /** @param tokenFile holds the secret */
  constructor(
    private readonly planting: Planting,
    private readonly tokenFile: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    const { gitConfig = '', userConfig, netrc } = planting;
    writeFileSync(join(this.home, '.gitconfig'), this.filled(gitConfig));
    if (netrc !== undefined) writeFileSync(join(this.home, '.netrc'), netrc, { mode: 0o600 });
    if (userConfig !== undefined) {
      mkdirSync(join(this.home, '.config/kb'), { recursive: true });
      writeFileSync(join(this.home, '.config/kb/config.yaml'), this.filled(userConfig));
    }
    this.program('editor', `echo edited >> "$1"`);
    this.program('helper', `[ "$1" = get ] && printf 'username=ann\\npassword=%s\\n' "$(cat '${tokenFile}')"`);
    this.program('printer', `cat '${tokenFile}'`);
    this.program('work', 'echo worked >> worked.md');
    writeFileSync(join(this.seenDirectory, 'recorder.cjs'), RECORDER);
    writeFileSync(join(this.seenDirectory, 'crash.cjs'), CRASH);
  }

  async kb(directory: string, ...args: string[]): Promise<KbRun> {
    return this.run(directory, args, {});
  }

  /** A run that ends with a bug in the middle of its first request. */
  async crash(directory: string, ...args: string[]): Promise<KbRun> {
    return this.run(directory, args, { NODE_OPTIONS: `--require ${join(this.seenDirectory, 'crash.cjs')}` });
  }

  /** Every program that was started, kb's own processes among them. */
  seen(): Seen[] {
    return readdirSync(this.seenDirectory)
      .filter((name) => name.endsWith('.env'))
      .map((name) => {
        const base = join(this.seenDirectory, name.slice(0, -4));
        return {
          program: name.split('.')[0] ?? '',
          args: existsSync(`${base}.args`) ? readFileSync(`${base}.args`, 'latin1') : '',
          env: readFileSync(`${base}.env`, 'latin1'),
        };
      });
  }

  private async run(directory: string, args: string[], env: Readonly<Record<string, string>>): Promise<KbRun> {
    const run = await kb(directory, args, {
      env: {
        HOME: this.home,
        PATH: process.env['PATH'],
        TMPDIR: this.temporary,
        XDG_STATE_HOME: join(this.home, '.local/state'),
        XDG_CACHE_HOME: join(this.home, '.cache'),
        EDITOR: join(this.seenDirectory, 'editor'),
        KB_LOG_LEVEL: 'debug',
        KB_TEST_SEEN: this.seenDirectory,
        NODE_OPTIONS: `--require ${join(this.seenDirectory, 'recorder.cjs')}`,
        ...this.env,
        ...this.planting.env,
        ...env,
      },
    });
    this.outputs.push(`kb ${args.join(' ').replace(/:\/\/[^@]*@/, '://…@')}: ${run.stdout}\n${run.stderr}`);
    return run;
  }

  private filled(text: string): string {
    return text.replaceAll('$SEEN', this.seenDirectory).replaceAll('$TOKEN', this.tokenFile);
  }

  private program(name: string, body: string): void {
    const path = join(this.seenDirectory, name);
    const log = `'${this.seenDirectory}/${name}'.$$`;
    writeFileSync(
      path,
      `#!/bin/sh\n{ echo "$@"; tr '\\0' ' ' < /proc/$$/cmdline; } > ${log}.args\nenv > ${log}.env\n${body}\nexit 0\n`,
    );
    chmodSync(path, 0o755);
  }
}
