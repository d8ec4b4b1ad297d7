import type { Ora } from 'ora';
import type { Report } from '../kb/surroundings.js';
import { redact } from '../errors.js';
import { printable } from '../printable.js';
import { formatBytes, formatDuration } from './format.js';
import { paint, type Paint } from './paint.js';

export interface TerminalOptions {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
  readonly json: boolean;
}

const LEVELS = ['error', 'warn', 'info', 'debug'] as const;
type Level = (typeof LEVELS)[number];

/** Anything shorter than this is not worth a spinner or a line. */
const SHOW_AFTER_MS = 300;
/** Nor is a shorter wait worth naming those who are ahead. */
const SHOW_WAIT_AFTER_MS = 500;

/**
 * All that kb says while it works. Results go to stdout, everything else to stderr; the two are judged
 * separately, for either may be a pipe. Under a terminal a spinner, loaded when it is first needed; in a
 * pipe or with CI one plain line a step, and nothing at all for work that is over at once.
 */
export class Terminal {
  readonly out: Paint;
  readonly err: Paint;
  readonly warnings: string[] = [];
  private readonly animates: boolean;
  private spinner: Ora | undefined;
  private timer: NodeJS.Timeout | undefined;
  private current = '';
  private step = '';
  private printed = '';
  private isShowing = false;
  private isDone = false;

  constructor(private readonly options: TerminalOptions) {
    const { stdout, stderr, env, color } = options;
    this.out = paint(stdout, env, color);
    this.err = paint(stderr, env, color);
    this.animates = stderr.isTTY === true && !env['CI'] && env['TERM'] !== 'dumb' && env['KB_LOG_FORMAT'] !== 'json';
  }

  get isInteractive(): boolean {
    return this.options.stdout.isTTY === true;
  }

  /** A result, on stdout; not under `--json`, which prints its one object instead. */
  result(text: string): void {
    if (!this.options.json) this.options.stdout.write(`${text}\n`);
  }

  /** A result that is no line of text: printed byte by byte. */
  bytes(data: Uint8Array): void {
    if (!this.options.json) this.options.stdout.write(data);
  }

  /** A result that only `--quiet` leaves out. */
  detail(text: string): void {
    if (!this.options.json && !this.options.quiet) this.options.stdout.write(`${text}\n`);
  }

  object(value: unknown): void {
    this.options.stdout.write(`${JSON.stringify(value, null, this.isInteractive ? 2 : 0)}\n`);
  }

  report(event: Report): void {
    if (this.options.json && this.options.verbose) this.event(event);
    switch (event.kind) {
      case 'warning':
        this.warnings.push(event.text);
        return this.line('warn', event.text);
      case 'waiting':
        return this.show(describeWait(event), event.waitedMs >= SHOW_WAIT_AFTER_MS);
      case 'step':
        return this.show(event.text, false);
      case 'progress':
        return this.show(describeProgress(event), false, event.phase);
    }
  }

  /** @param text made safe here; `prefix` is kb's own and may be coloured */
  line(level: Level, text: string, prefix = level === 'warn' ? `${this.err.yellow('warning:')} ` : ''): void {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(this.loudest())) return;
    this.spinner?.clear();
    // Errors of kb are redacted when they are made; their causes, and what a step names, are not.
    const safe = printable(redact(text), 4000);
    const isJson = this.options.env['KB_LOG_FORMAT'] === 'json';
    this.options.stderr.write(isJson ? `${JSON.stringify({ level, message: safe })}\n` : `${prefix}${safe}\n`);
  }

  /** With `--json --verbose` programs can follow the work: each event is an object on a line of stderr. */
  private event({ kind, ...facts }: Report): void {
    this.options.stderr.write(`${redact(JSON.stringify({ event: kind, ...facts }))}\n`);
  }

  /** `--quiet`, else KB_LOG_LEVEL; what is wrong with that variable, the settings say. */
  private loudest(): Level {
    if (this.options.quiet) return 'error';
    const wanted = this.options.env['KB_LOG_LEVEL']?.trim().toLowerCase();
    return LEVELS.find((level) => level === wanted) ?? 'info';
  }

  /** Stops the animation until the next step: somebody is being asked something. */
  pause(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.spinner?.stop();
    this.spinner = undefined;
    this.isShowing = false;
  }

  /** Ends all animation; called before a result or an error is printed. */
  done(): void {
    this.isDone = true;
    clearTimeout(this.timer);
    this.spinner?.stop();
    this.spinner = undefined;
  }

  /** @param step what it is about, whatever the numbers in the text: in a pipe a step is told once */
  private show(text: string, atOnce: boolean, step = stepOf(text)): void {
    if (this.options.quiet || this.isDone || (this.options.json && this.options.verbose)) return;
    this.current = text;
    this.step = step;
    if (this.isShowing) return this.update();
    if (atOnce || this.options.verbose) return this.start();
    this.timer ??= setTimeout(() => this.start(), SHOW_AFTER_MS).unref();
  }

  private start(): void {
    clearTimeout(this.timer);
    this.isShowing = true;
    if (!this.animates) return this.update();
    void import('ora').then(({ default: ora }) => {
      if (this.isDone) return;
      this.spinner = ora({ stream: this.options.stderr, discardStdin: false, hideCursor: false }).start(
        printable(this.current),
      );
    });
  }

  private update(): void {
    if (this.spinner !== undefined) this.spinner.text = printable(this.current);
    else if (!this.animates && this.step !== this.printed) {
      this.printed = this.step;
      this.line('info', this.current);
    }
  }
}

/** A text without the numbers that change in it. */
function stepOf(text: string): string {
  return text.replace(/[\d.,]+ ?(%|[kMG]?i?B|s|m|ms)?/g, '#');
}

function describeWait({ place, holder, givesUpInMs }: Extract<Report, { kind: 'waiting' }>): string {
  const rest = formatDuration(Math.round(givesUpInMs / 1000) * 1000);
  return `waiting for the lock: number ${place} in line, held by ${holder ?? 'somebody'}; gives up in ${rest}`;
}

function describeProgress(event: Extract<Report, { kind: 'progress' }>): string {
  const { phase, done, total, bytes, bytesPerSecond, remainingMs } = event;
  const count =
    done === undefined
      ? ''
      : total === undefined || total === 0
        ? ` ${done}`
        : ` ${done}/${total} (${Math.floor((100 * done) / total)}%)`;
  const facts = [
    ...(bytes === undefined ? [] : [formatBytes(bytes)]),
    ...(bytesPerSecond === undefined ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(remainingMs === undefined || remainingMs < 1000 ? [] : [`${formatDuration(roundedUp(remainingMs))} left`]),
  ];
  return [`${phase}${count}`, ...facts].join(', ');
}

/** To whole seconds: tenths of a guess would only flicker. */
function roundedUp(ms: number): number {
  return Math.ceil(ms / 1000) * 1000;
}
