import * as fs from 'node:fs';

/**
 * The file system as kb uses it: node's synchronous calls, injected everywhere so that tests can count,
 * fail or stop at any single step. Synchronous because that is the fastest way in Node for the many
 * small reads of a cycle, and because a step that cannot interleave is easier to recover.
 */
export type Disk = Pick<
  typeof fs,
  | 'openSync'
  | 'closeSync'
  | 'readSync'
  | 'writeSync'
  | 'fsyncSync'
  | 'ftruncateSync'
  | 'fstatSync'
  | 'lstatSync'
  | 'statSync'
  | 'statfsSync'
  | 'accessSync'
  | 'realpathSync'
  | 'readdirSync'
  | 'readlinkSync'
  | 'mkdirSync'
  | 'rmdirSync'
  | 'renameSync'
  | 'linkSync'
  | 'symlinkSync'
  | 'unlinkSync'
  | 'chmodSync'
  | 'utimesSync'
  | 'readFileSync'
>;

export const nodeDisk: Disk = fs;
