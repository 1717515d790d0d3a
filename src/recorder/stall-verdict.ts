/** What the watchdog knows of one FFmpeg. Durations by a clock that only rises. */
export interface RunFacts {
  alive: boolean
  /** Whether it has told what the camera sends. */
  isConnected: boolean
  /** Whether it has written video at all. */
  hasBegun: boolean
  /** How long it has had no `.mp4` of its own open; undefined where open files can't be seen. */
  noOpenFileMs: number | undefined
  /** Whether the file that it writes to has been deleted, and it has no other. */
  fileDeleted: boolean
  /** How long its file in `open/` hasn't grown. */
  unwrittenMs: number
  /** How long its count of video packets hasn't risen; at first, how long it runs. */
  noVideoMs: number
}

export type Stall =
  | 'process gone'
  | 'file deleted'
  | 'no file open'
  | 'file not growing'
  | 'no new video'
  | 'no video since the start'

/** How late the first video may be; where a camera is connected, for some send a keyframe a minute. */
const firstVideoMs = 40_000
const firstKeyframeMs = 90_000

/** One look at open files may fall between two segments; the next is 5 s later. */
const leastUnseenMs = 7500

/** Why a recording has stalled, or undefined while it is healthy or may still be starting up. */
export function stallVerdict(facts: RunFacts, stallAfterMs: number): Stall | undefined {
  if (!facts.alive) return 'process gone'
  if (facts.fileDeleted) return 'file deleted'
  if (!facts.hasBegun) {
    const mostMs = facts.isConnected ? firstKeyframeMs : firstVideoMs
    const isLate = facts.noVideoMs >= Math.max(stallAfterMs, mostMs)
    return isLate ? 'no video since the start' : undefined
  }
  const unseenMs = Math.max(stallAfterMs, leastUnseenMs)
  if ((facts.noOpenFileMs ?? 0) >= unseenMs) return 'no file open'
  if (facts.noVideoMs >= stallAfterMs) return 'no new video'
  // Without video there is nothing to write.
  const isVideoComing = facts.noVideoMs < facts.unwrittenMs / 2
  if (isVideoComing && facts.unwrittenMs >= unseenMs) return 'file not growing'
  return undefined
}
