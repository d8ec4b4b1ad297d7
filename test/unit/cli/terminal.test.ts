import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fakeTerminal } from '../../support/fake-streams.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('in a pipe', () => {
  it('says nothing of work that is over within 300 ms', () => {
    const { terminal, stdout, stderr } = fakeTerminal();
    terminal.report({ kind: 'step', text: 'asking' });
    terminal.report({ kind: 'progress', phase: 'receiving', done: 1, total: 2 });
    vi.advanceTimersByTime(299);
    terminal.done();
    vi.advanceTimersByTime(10_000);
    expect([stdout.text, stderr.text]).toEqual(['', '']);
  });

  it('tells each step once, on stderr', () => {
    const { terminal, stdout, stderr } = fakeTerminal();
    terminal.report({ kind: 'step', text: 'asking the remote' });
    vi.advanceTimersByTime(300);
    for (const done of [1, 50, 99, 100])
      terminal.report({ kind: 'progress', phase: 'receiving', done, total: 100, bytes: done * 2000 });
    terminal.report({ kind: 'step', text: 'pushing 1 commit' });
    terminal.report({ kind: 'step', text: 'pushing 1 commit' });
    expect(stderr.lines).toEqual(['asking the remote', 'receiving 1/100 (1%), 2.0 KiB', 'pushing 1 commit']);
    expect(stdout.text).toBe('');
  });

  it('tells the step that is under way after 300 ms, not the ones before', () => {
    const { terminal, stderr } = fakeTerminal();
    terminal.report({ kind: 'step', text: 'first' });
    vi.advanceTimersByTime(200);
    terminal.report({ kind: 'step', text: 'second' });
    vi.advanceTimersByTime(100);
    expect(stderr.lines).toEqual(['second']);
  });

  it('says the place in line, who holds the lock and when it gives up, as soon as the wait is long, once a holder', () => {
    const { terminal, stderr } = fakeTerminal();
    const wait = (waitedMs: number, holder?: string): void =>
      terminal.report({ kind: 'waiting', holder, waitedMs, place: 3, givesUpInMs: 300_000 - waitedMs });
    wait(0, 'ann');
    expect(stderr.text).toBe('');
    wait(500, 'ann');
    wait(1300, 'ann');
    wait(2300, 'bob');
    wait(2300, undefined);
    expect(stderr.lines.map((line) => line.replace(/.*by |;.*/g, ''))).toEqual(['ann', 'bob', 'somebody']);
    expect(stderr.lines[0]).toMatch(/number 3 in line, held by ann; gives up in/);
  });

  it('under --verbose tells every step at once', () => {
    const { terminal, stderr } = fakeTerminal({ verbose: true });
    terminal.report({ kind: 'step', text: 'first' });
    terminal.report({ kind: 'step', text: 'second' });
    expect(stderr.lines).toEqual(['first', 'second']);
  });

  it('is silent after the end', () => {
    const { terminal, stderr } = fakeTerminal({ verbose: true });
    terminal.done();
    terminal.report({ kind: 'step', text: 'late' });
    vi.advanceTimersByTime(1000);
    expect(stderr.text).toBe('');
  });

  it('writes no escape sequence', () => {
    const { terminal, stdout, stderr } = fakeTerminal({ verbose: true });
    terminal.report({ kind: 'warning', text: 'careful' });
    terminal.report({ kind: 'step', text: 'first' });
    terminal.result(terminal.out.green('done'));
    expect(stdout.text + stderr.text).not.toContain('\x1b');
    expect(stdout.text).toBe('done\n');
  });
});

describe('under a terminal', () => {
  it('shows an animation only where one can be seen', () => {
    for (const env of [{ CI: '1' }, { TERM: 'dumb' }, { KB_LOG_FORMAT: 'json' }]) {
      const { terminal, stderr } = fakeTerminal({ tty: true, env });
      terminal.report({ kind: 'step', text: 'first' });
      vi.advanceTimersByTime(300);
      terminal.done();
      expect(stderr.lines).toHaveLength(1);
      expect(stderr.text).not.toContain('\x1b');
    }
  });

  it('loads no spinner for work that is over at once', async () => {
    const { terminal, stderr } = fakeTerminal({ tty: true });
    terminal.report({ kind: 'step', text: 'first' });
    await vi.advanceTimersByTimeAsync(299);
    terminal.done();
    await vi.advanceTimersByTimeAsync(1000);
    expect(stderr.text).toBe('');
  });

  it('prints JSON for people indented, for programs on one line', () => {
    const [person, program] = [fakeTerminal({ tty: true, json: true }), fakeTerminal({ json: true })];
    for (const { terminal } of [person, program]) terminal.object({ ok: true, list: [1] });
    expect(program.stdout.text).toBe('{"ok":true,"list":[1]}\n');
    expect(person.stdout.text).toBe('{\n  "ok": true,\n  "list": [\n    1\n  ]\n}\n');
  });
});

describe('KB_LOG_LEVEL', () => {
  it.each([
    ['error', ['no']],
    ['warn', ['no', 'warning: careful']],
    ['info', ['no', 'warning: careful', 'so far']],
    ['debug', ['no', 'warning: careful', 'so far', 'details']],
  ])('%s prints what is as severe as that, or more', (level, lines) => {
    const { terminal, stderr } = fakeTerminal({ env: { KB_LOG_LEVEL: level } });
    terminal.line('error', 'no');
    terminal.line('warn', 'careful');
    terminal.line('info', 'so far');
    terminal.line('debug', 'details');
    expect(stderr.lines).toEqual(lines);
  });
});

describe('--quiet', () => {
  it('leaves results and errors', () => {
    const { terminal, stdout, stderr } = fakeTerminal({ quiet: true, verbose: false });
    terminal.report({ kind: 'step', text: 'step' });
    terminal.report({ kind: 'waiting', holder: 'ann', waitedMs: 5000, place: 1, givesUpInMs: 1 });
    terminal.report({ kind: 'warning', text: 'warning' });
    vi.advanceTimersByTime(1000);
    terminal.detail('detail');
    terminal.result('result');
    terminal.line('error', 'error');
    expect([stdout.text, stderr.text]).toEqual(['result\n', 'error\n']);
    expect(terminal.warnings).toEqual(['warning']);
  });
});

describe('--json', () => {
  it('keeps stdout for the one object', () => {
    const { terminal, stdout } = fakeTerminal({ json: true });
    terminal.result('result');
    terminal.detail('detail');
    terminal.object({ ok: true });
    expect(stdout.text).toBe('{"ok":true}\n');
  });

  it('with --verbose makes each event an object on a line of stderr', () => {
    const { terminal, stderr } = fakeTerminal({ json: true, verbose: true });
    terminal.report({ kind: 'waiting', holder: 'ann', waitedMs: 1, place: 2, givesUpInMs: 9 });
    terminal.report({ kind: 'step', text: 'pushing' });
    expect(stderr.lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { event: 'waiting', holder: 'ann', waitedMs: 1, place: 2, givesUpInMs: 9 },
      { event: 'step', text: 'pushing' },
    ]);
  });
});

describe('KB_LOG_FORMAT=json', () => {
  it('makes each line on stderr an object', () => {
    const { terminal, stderr } = fakeTerminal({ env: { KB_LOG_FORMAT: 'json' }, verbose: true });
    terminal.report({ kind: 'step', text: 'a "step"' });
    terminal.report({ kind: 'warning', text: 'careful' });
    terminal.line('error', 'bad\nnews');
    expect(stderr.lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { level: 'info', message: 'a "step"' },
      { level: 'warn', message: 'careful' },
      { level: 'error', message: 'bad\\nnews' },
    ]);
  });
});

it('text from elsewhere never acts on the terminal', () => {
  const { terminal, stderr } = fakeTerminal({ verbose: true });
  terminal.report({ kind: 'warning', text: 'a\x1b]0;title\x07b' });
  terminal.report({ kind: 'step', text: 'c\r\x9bd\u202e' });
  terminal.report({ kind: 'waiting', holder: 'eve\x1b[2J', waitedMs: 1000, place: 1, givesUpInMs: 1 });
  // eslint-disable-next-line no-control-regex -- control characters are what this is about
  expect(stderr.text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  expect(stderr.lines).toHaveLength(3);
  expect(stderr.text).toContain('\\x1b]0;title\\x07');
});
