import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'

interface Problem {
  reason: string
  since: string
  saidMs: number
  tries: number
}

const summaryEveryMs = 10 * 60_000

/** Says each problem once, and sums its repetitions up at most every ten minutes. */
export class ProblemLog {
  readonly #problems = new Map<string, Problem>()
  readonly #log: Log
  readonly #clock: Clock

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** `subject` is who has the problem; a change of its reason is said at once. */
  report(subject: string, reason: string, fields: Record<string, unknown>, sentence: string): void {
    const nowMs = this.#clock.monotonicMs()
    const known = this.#problems.get(subject)
    if (known?.reason !== reason) {
      this.#log.warn(fields, sentence)
      const since = known?.since ?? new Date(this.#clock.now()).toISOString()
      this.#problems.set(subject, { reason, since, saidMs: nowMs, tries: 1 })
      return
    }
    known.tries += 1
    if (nowMs - known.saidMs < summaryEveryMs) return
    known.saidMs = nowMs
    this.#log.warn({ ...fields, since: known.since, tries: known.tries }, `still: ${sentence}`)
  }

  /** True if there was a problem. */
  over(subject: string): boolean {
    return this.#problems.delete(subject)
  }
}
