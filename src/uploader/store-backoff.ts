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
}

export interface Outage<E> {
  sinceMs: number
  tries: number
  nextTryAtMs: number
  error: E
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
      if (!this.#outage) return { trial: false }
      const waitMs = this.#trying ? Number.MAX_SAFE_INTEGER : this.#remainingMs()
      if (waitMs <= 0) {
        this.#trying = true
        return { trial: true }
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
    this.#outage = undefined
    if (over) this.#changed.ring()
    return over
  }

  /** What others, still under way when it began, report of the same outage doesn't lengthen it. */
  failed(error: E, { trial }: Pass): void {
    const known = this.#outage
    if (known && !trial) return
    const tries = (known?.tries ?? 0) + 1
    this.#outage = {
      sinceMs: known?.sinceMs ?? this.#clock.monotonicMs(),
      tries,
      error,
      nextTryAtMs: this.#clock.monotonicMs() + backoffMs(tries - 1, capMs, this.#random),
    }
    this.#changed.ring()
  }

  #remainingMs(): number {
    return (this.#outage?.nextTryAtMs ?? 0) - this.#clock.monotonicMs()
  }
}
