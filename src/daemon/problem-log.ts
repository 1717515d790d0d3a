import type { Clock } from './clock.ts'
import type { Log } from './logger.ts'

/** What went wrong again and again. */
export interface Problem {
  reason: string
  /** ISO 8601. */
  since: string
  tries: number
}

interface Known extends Problem {
  sentence: string
  saidMs: number
  /** Every reason that was said since it began. */
  said: Set<string>
}

const summaryEveryMs = 10 * 60_000
/** Addresses and temporary names, which make the same reason look new. */
const random = /0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g

/** Says each problem once, and sums its repetitions up at most every ten minutes. */
export class ProblemLog {
  readonly #problems = new Map<string, Known>()
  readonly #log: Log
  readonly #clock: Clock

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** `subject` is who has the problem; a reason that it didn't have before is said at once. */
  report(subject: string, reason: string, fields: Record<string, unknown>, sentence: string): void {
    const saidMs = this.#clock.monotonicMs()
    const since = new Date(this.#clock.now()).toISOString()
    const known = this.#problems.get(subject) ?? {
      reason,
      sentence,
      since,
      tries: 0,
      saidMs,
      said: new Set<string>(),
    }
    this.#problems.set(subject, known)
    Object.assign(known, { reason, sentence })
    known.tries += 1
    const plain = reason.replaceAll(random, '…')
    if (!known.said.has(plain)) {
      known.said.add(plain)
      this.#log.warn(fields, sentence)
    } else if (saidMs - known.saidMs >= summaryEveryMs) {
      known.saidMs = saidMs
      this.#log.warn({ ...fields, since: known.since, tries: known.tries }, `still: ${sentence}`)
    }
  }

  /** What is wrong now, by subject. */
  get open(): { subject: string; text: string }[] {
    return [...this.#problems].map(([subject, { sentence, reason }]) => ({
      subject,
      text: `${sentence}: ${reason}`,
    }))
  }

  /** The problem that is over, if there was one. */
  over(subject: string): Problem | undefined {
    const known = this.#problems.get(subject)
    this.#problems.delete(subject)
    return known
  }
}
