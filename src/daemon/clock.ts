import { setTimeout as delay } from 'node:timers/promises'

/** The only source of time, so that a test can hold it. */
export interface Clock {
  /** Wall-clock time in epoch ms; may jump. */
  now(): number
  /** Milliseconds that only ever rise, whatever happens to the wall clock. */
  monotonicMs(): number
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal ? { signal } : {}).catch((error: unknown) => {
      if (!signal?.aborted) throw error
    })
  },
}
