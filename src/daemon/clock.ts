import { uptime } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

/** The only source of time, so that a test can hold it. */
export interface Clock {
  /** Wall-clock time in epoch ms; may jump. */
  now(): number
  /** Milliseconds that only ever rise, whatever happens to the wall clock. */
  monotonicMs(): number
  /** The same since the machine was started: also while it is suspended. */
  bootMs(): number
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/**
 * A moment of the monotonic clock as the wall clock of now would have shown it, in ISO 8601: what
 * began at 1970, before the clock was set, did not begin at 1970.
 */
export function isoAt(clock: Clock, monotonicMs: number): string {
  return new Date(clock.now() - (clock.monotonicMs() - monotonicMs)).toISOString()
}

/** Notices when the wall clock jumps beside another clock: when it is set. */
export class ClockSteps {
  readonly #clock: Clock
  readonly #other: 'monotonicMs' | 'bootMs'
  #aheadMs: number

  constructor(clock: Clock, other: 'monotonicMs' | 'bootMs') {
    this.#clock = clock
    this.#other = other
    this.#aheadMs = this.#look()
  }

  /** By how many milliseconds it has jumped ahead, or (negative) back, since this was asked last. */
  sinceLast(): number {
    const before = this.#aheadMs
    this.#aheadMs = this.#look()
    return this.#aheadMs - before
  }

  #look(): number {
    return this.#clock.now() - this.#clock[this.#other]()
  }
}

const beatMs = 500
/** A beat that is later by less delays nothing that matters. */
const lateMs = 250
/** Time after a late beat in which what had waited is still being read. */
const catchUpMs = 100
/** Number of late beats in a row that are no hold-up, but how this machine is: nothing would ever be timely. */
const mostLateBeats = 10

/** Tells when this process was held up (a busy machine, SIGSTOP): what it reads then came earlier. */
export class HoldUps {
  readonly #clock: Clock
  #beatAtMs: number
  #caughtUpMs = -Infinity
  #lateBeats = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#beatAtMs = clock.monotonicMs()
    setInterval(() => this.#beat(), beatMs).unref()
  }

  /** Whether this process has just been held up; not where it always is. */
  get isHeldUp(): boolean {
    if (this.#lateBeats >= mostLateBeats) return false
    return this.#isLate() || this.#clock.monotonicMs() - this.#caughtUpMs < catchUpMs
  }

  #beat(): void {
    const nowMs = this.#clock.monotonicMs()
    const isLate = this.#isLate()
    if (isLate) this.#caughtUpMs = nowMs
    this.#lateBeats = isLate ? this.#lateBeats + 1 : 0
    this.#beatAtMs = nowMs
  }

  #isLate(): boolean {
    return this.#clock.monotonicMs() - this.#beatAtMs > beatMs + lateMs
  }
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  bootMs: () => uptime() * 1000,
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal ? { signal } : {}).catch((error: unknown) => {
      if (!signal?.aborted) throw error
    })
  },
}
