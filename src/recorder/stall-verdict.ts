/** What the watchdog knows of one FFmpeg. Durations by a clock that only rises. */
export interface RunFacts {
  alive: boolean
  /** Whether it has written video at all. */
  hasBegun: boolean
  /** How long it has had no `.mp4` of its own open; undefined where open files can't be seen. */
  noOpenFileMs: number | undefined
  /** Whether the file that it writes to has been deleted, and it has no other. */
  fileDeleted: boolean
  /** How long its file in `open/` has neither grown nor been written to. */
  unwrittenMs: number
  /** How long its count of video packets hasn't risen; at first, how long it runs. */
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
  | 'no video since the start'
  | 'time stamps jumped'
  | 'time stamps frozen'

/** A burst after a pause in the network is no jump. */
const longestBurstMs = 30_000

/** The first video may be late by so much: some cameras send a keyframe every 33 s. */
const firstVideoMs = 40_000

/** Open files are looked at every 5 s, and one look may fall between two segments. */
const leastUnseenMs = 7500

/** A camera that falls silent makes FFmpeg itself end, at STALL_SECONDS; and in order. */
const ffmpegFirstMs = 1000

/** Why a recording has stalled, or undefined while it is healthy or may still be starting up. */
export function stallVerdict(facts: RunFacts, stallAfterMs: number): Stall | undefined {
  if (!facts.alive) return 'process gone'
  if (facts.fileDeleted) return 'file deleted'
  if (!facts.hasBegun) {
    const isLate = facts.noVideoMs >= Math.max(stallAfterMs, firstVideoMs)
    return isLate ? 'no video since the start' : undefined
  }
  const unseenMs = Math.max(stallAfterMs, leastUnseenMs)
  if ((facts.noOpenFileMs ?? 0) >= unseenMs) return 'no file open'
  if (facts.noVideoMs >= stallAfterMs + ffmpegFirstMs) return 'no new video'
  // FFmpeg goes on, but keeps in memory, or piles up in one file, what it should write.
  if (facts.aheadMs >= Math.max(stallAfterMs, longestBurstMs)) return 'time stamps jumped'
  if (facts.frozenTimeMs >= stallAfterMs) return 'time stamps frozen'
  if (facts.unwrittenMs >= unseenMs) return 'file not growing'
  return undefined
}
