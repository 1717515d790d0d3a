import type { Clock } from '../daemon/clock.ts'

/**
 * Lets loops sleep until something happens. Not AbortSignal.any: on Node 20 each use of it leaves
 * a few bytes behind with a signal that lives as long as the process.
 */
export class WakeCall {
  readonly #clock: Clock
  readonly #sleepers = new Set<AbortController>()
  #missed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Wakes all who sleep; where nobody does, the next to try doesn't fall asleep. */
  ring(): void {
    this.#missed = this.#sleepers.size === 0
    for (const sleeper of this.#sleepers) sleeper.abort()
  }

  /** Resolves after `ms`, at a call, or when the signal aborts; never rejects. */
  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#missed || signal.aborted) {
      this.#missed = false
      return
    }
    const sleeper = new AbortController()
    const wake = (): void => sleeper.abort()
    this.#sleepers.add(sleeper)
    signal.addEventListener('abort', wake)
    await this.#clock.sleep(ms, sleeper.signal)
    signal.removeEventListener('abort', wake)
    this.#sleepers.delete(sleeper)
  }
}
