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

/**
 * A moment of the monotonic clock as the wall clock of now would have shown it, in ISO 8601: what
 * began at 1970, before the clock was set, did not begin at 1970.
 */
export function isoAt(clock: Clock, monotonicMs: number): string {
  return new Date(clock.now() - (clock.monotonicMs() - monotonicMs)).toISOString()
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
