/**
 * Time that never goes back and never jumps with the wall clock, ms from any start. `performance.now()` says the same;
 * its first use makes Node load a family of modules, half a millisecond at every start.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
