import type { Clock } from './clock.ts'
import type { Log } from './logger.ts'

/** What went wrong again and again. */
export interface Problem {
  reason: string
  /** ISO 8601. */
  since: string
  tries: number
}

const summaryEveryMs = 10 * 60_000

/** Says each problem once, and sums its repetitions up at most every ten minutes. */
export class ProblemLog {
  readonly #problems = new Map<string, Problem & { saidMs: number }>()
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

  /** The problem that is over, if there was one. */
  over(subject: string): Problem | undefined {
    const known = this.#problems.get(subject)
    this.#problems.delete(subject)
    return known
  }
}
