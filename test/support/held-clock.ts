import type { Clock } from '../../src/daemon/clock.ts'

interface Sleeper {
  untilMs: number
  wake: () => void
}

/** A clock that stands still until a test moves it. */
export class HeldClock implements Clock {
  #nowMs: number
  #setByMs = 0
  #suspendedMs = 0
  #sleepers: Sleeper[] = []

  constructor(startMs = Date.UTC(2025, 0, 25, 12)) {
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs + this.#suspendedMs + this.#setByMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  bootMs(): number {
    return this.#nowMs + this.#suspendedMs
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return
    await new Promise<void>((wake) => {
      const sleeper = { untilMs: this.#nowMs + ms, wake }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        wake()
      })
    })
  }

  /** How many sleep now. */
  get sleepers(): number {
    return this.#sleepers.length
  }

  /** Sets the wall clock; no time goes by. */
  set(nowMs: number): void {
    this.#setByMs = nowMs - this.bootMs()
  }

  /** The machine sleeps for so long. */
  suspend(ms: number): void {
    this.#suspendedMs += ms
  }

  /** Moves on, and lets whoever wakes do what they do. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms
    const awake = this.#sleepers.filter(({ untilMs }) => untilMs <= this.#nowMs)
    this.#sleepers = this.#sleepers.filter(({ untilMs }) => untilMs > this.#nowMs)
    for (const { wake } of awake) wake()
    await settled()
  }
}

/** Resolves when everything that could go on without time or input has done so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
