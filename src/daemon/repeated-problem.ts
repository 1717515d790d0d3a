import type { Clock } from './clock.ts'

const summaryEveryMs = 10 * 60_000

/** How long and how often a problem has lasted. */
export interface Repetition {
  tries: number
  seconds: number
}

/** Decides when a problem that comes again and again is worth a line: at once, then each 10 minutes. */
export class RepeatedProblem {
  readonly #clock: Clock
  #kind: string | undefined
  #tries = 0
  #sinceMs = 0
  #saidMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts a try that failed; answers whether to say so. */
  failed(kind: string): 'new' | 'still' | 'known' {
    const now = this.#clock.monotonicMs()
    if (this.#tries === 0) this.#sinceMs = now
    this.#tries += 1
    if (this.#kind !== kind) {
      this.#kind = kind
      this.#saidMs = now
      return 'new'
    }
    if (now - this.#saidMs < summaryEveryMs) return 'known'
    this.#saidMs = now
    return 'still'
  }

  /** How it has been so far. */
  get repetition(): Repetition {
    return {
      tries: this.#tries,
      seconds: Math.round((this.#clock.monotonicMs() - this.#sinceMs) / 1000),
    }
  }

  /** The problem is over; answers what it was, if there was one. */
  over(): Repetition | undefined {
    if (this.#tries === 0) return undefined
    const { repetition } = this
    this.#kind = undefined
    this.#tries = 0
    return repetition
  }
}
