/** What one sweep of the watchdog saw of one FFmpeg. Durations by a clock that only rises. */
export interface RunFacts {
  runningMs: number
  alive: boolean
  /** How long it has had no `.mp4` of its own open; undefined where open files can't be seen. */
  noOpenFileMs: number | undefined
  /** Whether the file that it writes to has been deleted, and it has no other. */
  fileDeleted: boolean
  /** How long its file in `open/` has neither grown nor been written to. */
  unwrittenMs: number
  /** How long its count of video packets hasn't risen. */
  noVideoMs: number
  /** The most that the time stamps have outrun the clock at once. */
  aheadMs: number
  /** How long packets have come whose time stamps hardly advance. */
  frozenTimeMs: number
}

export type Stall =
  | 'process gone'
  | 'file deleted'
  | 'no file open'
  | 'file not growing'
  | 'no new video'
  | 'time stamps jumped'
  | 'time stamps frozen'

/** A burst after a pause in the network is no jump. */
const longestBurstMs = 30_000

/** The shortest start-up grace: a camera may take so long to its first keyframe. */
const leastGraceMs = 20_000

/** Why a recording has stalled, or undefined while it is healthy or may still be starting up. */
export function stallVerdict(facts: RunFacts, stallAfterMs: number): Stall | undefined {
  if (!facts.alive) return 'process gone'
  if (facts.fileDeleted) return 'file deleted'
  if (facts.runningMs < Math.max(stallAfterMs, leastGraceMs)) return undefined
  if ((facts.noOpenFileMs ?? 0) >= stallAfterMs) return 'no file open'
  if (facts.noVideoMs >= stallAfterMs) return 'no new video'
  // FFmpeg goes on, but keeps in memory, or piles up in one file, what it should write.
  if (facts.aheadMs >= Math.max(stallAfterMs, longestBurstMs)) return 'time stamps jumped'
  if (facts.frozenTimeMs >= stallAfterMs) return 'time stamps frozen'
  if (facts.unwrittenMs >= stallAfterMs) return 'file not growing'
  return undefined
}
