/** kb as a library: the use cases behind the commands. No output, no process exit; errors are `KbError`. */
export { ERROR_CODES, exitCodeOf, isKbError, KbError, type ErrorCode } from './errors.js';
export {
  KnowledgeBase,
  type CloneOptions,
  type EditOptions,
  type FileToEdit,
  type InitOptions,
  type KnowledgeBaseLockOptions,
  type KnowledgeBaseOptions,
  type NewNote,
  type OpenOptions,
  type RunOptions,
} from './kb/knowledge-base.js';
export { withLock, type LockedKb, type LockOptions, type LockWait } from './kb/with-lock.js';
export type { CallOptions, HostOptions } from './kb/library-call.js';
export { surroundings, type Clock, type Report, type Surroundings } from './kb/surroundings.js';
export type { OpenRequest } from './kb/ground.js';
export { openKb, openKbAt, type Kb } from './kb/open.js';
export { cloneKb, type CloneRequest, type CloneResult } from './kb/clone.js';
export { initKb, type InitRequest, type InitResult } from './kb/init.js';
export { addNote, previewNote, type NoteRequest, type NoteResult } from './kb/note.js';
export type { NoteTarget } from './kb/note-plan.js';
export { editFile, type EditRequest, type EditResult, type OpenedFile } from './kb/edit.js';
export { runCommand, type RunRequest, type RunResult } from './kb/run.js';
export { forecastSync, sync, type SyncForecast, type SyncRequest, type SyncResult } from './kb/sync.js';
export { findProblems, readStatus, type Status, type StatusRequest } from './kb/status.js';
export { unlock, type UnlockRequest, type UnlockResult } from './kb/unlock.js';
export { collectGarbage, type GcRequest, type GcResult } from './kb/gc.js';
export { listKbs, type ListedKb } from './kb/list.js';
