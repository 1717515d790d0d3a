const delaysMs = [1500, 3000, 6000, 10_000]

/** A camera that rejects a password may lock the account after a few tries. */
const rejectedMs = 60_000

/**
 * How long to wait before the next try, after so many failures in a row.
 *
 * Never below 1.5 s: old Reolink firmware mixes two sessions when a client returns at once. The
 * jitter (`random` in 0..1, up to a quarter more) keeps cameras that failed together apart.
 */
export function restartDelayMs(failures: number, rejected: boolean, random: number): number {
  const base = rejected ? rejectedMs : (delaysMs[Math.min(failures, delaysMs.length) - 1] ?? 1500)
  return Math.round(base * (1 + random / 4))
}
