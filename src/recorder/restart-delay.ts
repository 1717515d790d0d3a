import type { Diagnosis } from './ffmpeg-diagnosis.ts'

/** Old Reolink firmware mixes two sessions when a client returns at once. */
export const sessionPauseMs = 1000

const tryEveryMs = [sessionPauseMs, 3000, 6000, 10_000]

/** A camera that rejects a password may lock the account after a few tries. */
const rejectedMs = 60_000

<<<<<<< HEAD
/** A try that has failed. */
export interface FailedTry {
  /** How many have failed in a row, this one included. */
  failures: number
  /** Whether the camera rejects the password. */
  rejected: boolean
  /** How long it went on, which counts as waiting. */
  tookMs: number
}

/**
 * How long to wait before the next try. The jitter (`random` in 0..1, up to a quarter more) keeps
 * cameras that failed together apart.
 */
export function restartDelayMs({ failures, rejected, tookMs }: FailedTry, random: number): number {
  const step = Math.min(failures, tryEveryMs.length) - 1
  const everyMs = rejected ? rejectedMs : (tryEveryMs[step] ?? sessionPauseMs)
  return Math.round(Math.max(sessionPauseMs, everyMs - tookMs) * (1 + random / 4))
=======
/** A camera whose disk was at fault is to be recorded again within 15 s of its being mended. */
const diskMs = 6000

/**
 * How long to wait before the next try, after so many failures in a row, 1 at least, of which the
 * last was of a kind. The jitter (`random` in 0..1, up to a quarter more) keeps cameras that failed
 * together apart.
 */
export function restartDelayMs(
  failures: number,
  kind: Diagnosis['kind'] | undefined,
  random: number,
): number {
  const step = Math.min(failures, delaysMs.length) - 1
  const usual = delaysMs[step] ?? sessionPauseMs
  const isDisk = kind === 'disk full' || kind === 'folder'
  const base = kind === 'rejected' ? rejectedMs : isDisk ? Math.min(usual, diskMs) : usual
  return Math.round(base * (1 + random / 4))
>>>>>>> disk~1
}
