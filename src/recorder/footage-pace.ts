/** A report of FFmpeg's progress: how much footage there was in this run, when on the monotonic clock. */
export interface Report {
  atMs: number
  frames: number
  /** By the camera's time stamps. */
  totalMs: number
}

export interface Pause {
  fromMs: number
  toMs: number
}

/** FFmpeg reports each second, so that a shorter pause may not show. */
const shortestPauseMs = 1500
/** What the rate of frames is learned from. */
const learnAtLeastMs = 3000
const forgetAfterMs = 30_000

/**
 * Tells from the number of frames where the footage of one run ends, and where it paused without
 * an end of the run. A burst that makes up for what was held back is no pause, nor is a camera
 * that sends few frames.
 */
export class FootagePace {
  #last: Report
  #learned = { ms: 0, frames: 0 }
  /** Before a report that held too few frames for its time, and where those reach to. */
  #before: (Report & { untilMs: number }) | undefined

  constructor(first: Report) {
    this.#last = first
  }

  /** Until when there is footage; and of a pause that is over when it was. */
  report(report: Report): { untilMs: number; pause?: Pause } {
    const last = this.#last
    this.#last = report
    const elapsedMs = report.atMs - last.atMs
    const coveredMs = this.#durationOf(report.frames - last.frames, last)
    if (elapsedMs - coveredMs >= shortestPauseMs) {
      this.#before ??= { ...last, untilMs: last.atMs + coveredMs }
      return { untilMs: this.#before.untilMs }
    }
    this.#learn(elapsedMs, report.frames - last.frames)
    const before = this.#before
    this.#before = undefined
    const pause = before && this.#pauseSince(before, report)
    return { untilMs: report.atMs, ...(pause ? { pause } : {}) }
  }

  /** Reports may come late as well: only together with the next do they tell what is missing. */
  #pauseSince(before: Report & { untilMs: number }, report: Report): Pause | undefined {
    const coveredMs = this.#durationOf(report.frames - before.frames, before)
    const missingMs = report.atMs - before.atMs - coveredMs
    if (missingMs < shortestPauseMs) return undefined
    return { fromMs: before.untilMs, toMs: before.untilMs + missingMs }
  }

  /** Before a pause time stamps tell the rate as well, but some cameras' are wrong. */
  #durationOf(frames: number, { totalMs, frames: before }: Report): number {
    const { ms, frames: learned } = this.#learned
    if (ms >= learnAtLeastMs) return (frames * ms) / learned
    return totalMs > 0 ? (frames * totalMs) / before : Infinity
  }

  #learn(ms: number, frames: number): void {
    const kept = Math.exp(-ms / forgetAfterMs)
    this.#learned = {
      ms: this.#learned.ms * kept + ms,
      frames: this.#learned.frames * kept + frames,
    }
  }
}
