import type { Clock } from '../daemon/clock.ts'
import type { Log } from '../daemon/logger.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'

/** What time it is by the store, as its last answer told: this machine's clock may be wrong. */
export class StoreClock {
  readonly #clock: Clock
  #told: { epochMs: number; atMs: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes an answer's headers. A store that tells no time is taken to agree with us. */
  told({ date = '', age }: Record<string, string>): void {
    // A cache's answer has the time of another day.
    if (age !== undefined) return
    const epochMs = Date.parse(date) || this.#clock.now()
    this.#told = { epochMs, atMs: this.#clock.monotonicMs() }
  }

  /** In epoch ms; undefined until the store has answered. */
  now(): number | undefined {
    return this.#told && this.#told.epochMs + this.#clock.monotonicMs() - this.#told.atMs
  }

  /** How far this machine's clock is behind it; 0 until the store has answered. */
  get offsetMs(): number {
    const nowMs = this.#clock.now()
    return (this.now() ?? nowMs) - nowMs
  }
}

const compareEveryMs = 5000
/** Less may be the store's fault. */
const farOffMs = 5 * 60_000

export interface ClockCheckDeps {
  store: { now(): number | undefined }
  problems: ProblemLog
  log: Log
  clock: Clock
}

/** Says once, and in the status for as long as it is so, that this machine's clock is wrong. */
export async function compareClocks(deps: ClockCheckDeps, signal: AbortSignal): Promise<void> {
  const { store, problems, log, clock } = deps
  while (!signal.aborted) {
    const nowMs = clock.now()
    const aheadMs = nowMs - (store.now() ?? nowMs)
    const side = aheadMs > 0 ? 'ahead of' : 'behind'
    if (Math.abs(aheadMs) >= farOffMs) {
      const reason = `it is ${side} that of S3, and footage is named by it: set it, for example with timedatectl set-ntp true`
      const s3 = new Date(nowMs - aheadMs).toISOString()
      problems.report('clock', reason, { reason, s3 }, "this machine's clock is wrong")
    } else if (problems.over('clock')) log.info({}, "this machine's clock is right again")
    await clock.sleep(compareEveryMs, signal)
  }
}
