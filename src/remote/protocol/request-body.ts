/** The bytes of a request. Made anew for each attempt. */
export interface RequestBody {
  readonly chunks: Iterable<Uint8Array>;
  /** Bytes in all, where known; otherwise they are sent as they come. */
  readonly length?: number;
  /** Called right before the last of them leave; what it throws ends the request. */
  readonly beforeLast?: () => void;
}
