const tasks: (() => Promise<void>)[] = [];

/** Has something done when the command's result is out and before the process ends: nobody waits for it. */
export function afterResult(task: () => Promise<void>): void {
  tasks.push(task);
}

/** What goes wrong here is no part of the command's result, and is not told. */
export async function runAfterResult(): Promise<void> {
  for (const task of tasks.splice(0)) await task().catch(() => undefined);
}
