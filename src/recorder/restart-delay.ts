/** Old Reolink firmware mixes two sessions when a client returns at once. */
export const sessionPauseMs = 1500

const delaysMs = [sessionPauseMs, 3000, 6000, 10_000]

/** A camera that rejects a password may lock the account after a few tries. */
const rejectedMs = 60_000

/**
 * How long to wait before the next try, after so many failures in a row, 1 at least. The jitter
 * (`random` in 0..1, up to a quarter more) keeps cameras that failed together apart.
 */
export function restartDelayMs(failures: number, rejected: boolean, random: number): number {
  const step = Math.min(failures, delaysMs.length) - 1
  const base = rejected ? rejectedMs : (delaysMs[step] ?? sessionPauseMs)
  return Math.round(base * (1 + random / 4))
}
