import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { takeSignals } from '../../../src/cli/run-signals.js';
import { isKbError } from '../../../src/errors.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

describe('signals to kb run', () => {
  const before = new Map<NodeJS.Signals, NodeJS.SignalsListener[]>();
  const exit = vi.spyOn(process, 'exit');
  beforeEach(() => {
    for (const name of SIGNALS) before.set(name, process.listeners(name));
    exit.mockImplementation((() => undefined) as unknown as typeof process.exit).mockClear();
  });
  afterEach(() => {
    for (const name of SIGNALS) {
      process.removeAllListeners(name);
      for (const listener of before.get(name) ?? []) process.on(name, listener);
    }
  });

  const send = (name: NodeJS.Signals): void => void process.emit(name, name);

  it.each([
    ['SIGINT', 'E_INTERRUPTED'],
    ['SIGTERM', 'E_TERMINATED'],
    ['SIGHUP', 'E_TERMINATED'],
  ] as const)('%s asks the work to end: %s', (name, code) => {
    const { stop, kill } = takeSignals(false);
    send(name);
    expect([isKbError(stop.reason, code), kill.aborted]).toEqual([true, false]);
    expect(exit).not.toHaveBeenCalled();
  });

  it('a second one ends the command, a third one kb', () => {
    const { stop, kill, onChild } = takeSignals(false);
    onChild(true);
    send('SIGINT');
    send('SIGINT');
    expect([stop.aborted, kill.aborted, exit.mock.calls]).toEqual([true, true, []]);
    send('SIGTERM');
    expect(exit.mock.calls).toEqual([[143]]);
  });

  it('a second one ends kb where no command runs that would have to be ended first', () => {
    const { kill, onChild } = takeSignals(false);
    onChild(true);
    onChild(false);
    send('SIGINT');
    send('SIGINT');
    expect([kill.aborted, exit.mock.calls]).toEqual([false, [[130]]]);
  });

  it('the key for interrupt is the business of a command that has the terminal, as long as it runs', () => {
    const { stop, onChild } = takeSignals(true);
    onChild(true);
    send('SIGINT');
    send('SIGINT');
    expect([stop.aborted, exit.mock.calls]).toEqual([false, []]);
    send('SIGTERM');
    expect(isKbError(stop.reason, 'E_TERMINATED')).toBe(true);
  });

  it('before and after it the key interrupts kb', () => {
    const { stop, onChild } = takeSignals(true);
    onChild(true);
    onChild(false);
    send('SIGINT');
    expect(isKbError(stop.reason, 'E_INTERRUPTED')).toBe(true);
  });
});
