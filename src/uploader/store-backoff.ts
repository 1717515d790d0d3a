import type { Clock } from '../daemon/clock.ts'
import { WakeCall } from './wake-call.ts'

const firstMs = 1000
const capMs = 15_000
const leastMs = 100

/** Full jitter: anywhere between almost nothing and a limit that doubles up to the cap. */
export function backoffMs(
  failures: number,
  mostMs: number = capMs,
  random: () => number = Math.random,
): number {
  const limitMs = Math.min(mostMs, firstMs * 2 ** Math.min(failures, 10))
  return Math.max(leastMs, random() * limitMs)
}

/** Leave to try; to be given back. */
export interface Pass {
  /** Whether everything else waits for how this goes. */
  trial: boolean
  sinceMs: number
}

export interface Outage<E> {
  sinceMs: number
  tries: number
  nextTryAtMs: number
  error: E
  /** All may pass again, but nothing has come of it yet. */
  eased: boolean
}

/**
 * What everything depends on, a store for example, has one state and one backoff. While it works
 * all may pass; once it fails everything waits, one tries at a time, and the first success wakes
 * the others.
 */
export class SharedBackoff<E> {
  readonly #clock: Clock
  readonly #random: () => number
  #outage: Outage<E> | undefined
  #trying = false
  /** When all were let pass again, the last time. */
  #easedMs = -Infinity
  readonly #changed: WakeCall

  constructor(clock: Clock, random: () => number = Math.random) {
    this.#clock = clock
    this.#changed = new WakeCall(clock)
    this.#random = random
  }

  get outage(): Readonly<Outage<E>> | undefined {
    return this.#outage
  }

  /** Waits for leave to try; undefined once the signal aborts. */
  async enter(signal: AbortSignal): Promise<Pass | undefined> {
    while (!signal.aborted) {
      const sinceMs = this.#clock.monotonicMs()
      if (!this.#outage || this.#outage.eased) return { trial: false, sinceMs }
      const waitMs = this.#trying ? Number.MAX_SAFE_INTEGER : this.#remainingMs()
      if (waitMs <= 0) {
        this.#trying = true
        return { trial: true, sinceMs }
      }
      await this.#changed.sleep(Math.min(waitMs, 60_000), signal)
    }
    return undefined
  }

  /** Has to follow every `enter`, whatever came of it. */
  leave(pass: Pass): void {
    if (!pass.trial || !this.#trying) return
    this.#trying = false
    this.#changed.ring()
  }

  /** True if that ends an outage. */
  succeeded(): boolean {
    const over = this.#outage !== undefined
    this.ease()
    this.#outage = undefined
    return over
  }

  /** A trial goes well so far: all may pass, but if it fails in the end, the outage goes on. */
  ease(): void {
    if (!this.#outage || this.#outage.eased) return
    this.#outage.eased = true
    this.#easedMs = this.#clock.monotonicMs()
    this.#changed.ring()
  }

  /**
   * False if that is no news: of an outage that is known, or over, it comes from what was under
   * way already. The wait counts from the beginning of a trial: one that took long to fail has
   * waited already.
   */
  failed(error: E, { trial, sinceMs }: Pass): boolean {
    const known = this.#outage
    const isOld = known?.eased === false || sinceMs < this.#easedMs
    if (isOld && !trial) return false
    const tries = (known?.tries ?? 0) + 1
    const nowMs = this.#clock.monotonicMs()
    const waitMs = backoffMs(tries - 1, capMs, this.#random)
    this.#outage = {
      sinceMs: known?.sinceMs ?? this.#clock.monotonicMs(),
      tries,
      error,
      eased: false,
      nextTryAtMs: Math.max(nowMs + leastMs, (trial ? sinceMs : nowMs) + waitMs),
    }
    this.#changed.ring()
    return true
  }

  #remainingMs(): number {
    return (this.#outage?.nextTryAtMs ?? 0) - this.#clock.monotonicMs()
  }
}
