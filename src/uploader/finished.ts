/** What is known of a file that may or may not be finished. */
export interface SegmentFacts {
  /** For how long of our own monotonic clock neither its size nor its mtime has changed. */
  stableMs: number
  /** Whether a process has it open for writing, or in `open/` at all; undefined where that can't be seen. */
  isHeld: boolean | undefined
  /** Whether it still lies in `recordings/open/`. */
  inOpen: boolean
}

/** A writer whose file handle can't be seen any more is not trusted sooner than this. */
export const closedStableMs = 2000

/**
 * Whether nobody will write to a segment any more: no visible writer, and unchanged for 2 s; or,
 * in `open/` and where writers can't be seen, for as long as the original waited.
 */
export function isFinished(facts: SegmentFacts, stableAfterMs: number): boolean {
  if (facts.isHeld) return false
  const doubtful = facts.inOpen || facts.isHeld === undefined
  return facts.stableMs >= (doubtful ? stableAfterMs : closedStableMs)
}
