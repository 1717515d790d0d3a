import type { Diagnosis } from './ffmpeg-diagnosis.ts'

/** Old Reolink firmware mixes two sessions when a client returns at once. */
const sessionPauseMs = 1000

const tryEveryMs = [sessionPauseMs, 3000, 6000, 10_000]

/** A camera that rejects a password may lock the account after a few tries. */
const rejectedMs = 60_000

/** A camera whose disk was at fault is to be recorded again within 15 s of its being mended. */
const diskMs = 6000

/** A try that has failed. */
export interface FailedTry {
  /** How many have failed in a row, this one included. */
  failures: number
  /** What was diagnosed, if anything. */
  kind: Diagnosis['kind'] | undefined
  /** How long it went on, which counts as waiting. */
  tookMs: number
}

/**
 * How long to wait before the next try. The jitter (`random` in 0..1, up to a quarter more) keeps
 * cameras that failed together apart.
 */
export function restartDelayMs({ failures, kind, tookMs }: FailedTry, random: number): number {
  const step = Math.min(failures, tryEveryMs.length) - 1
  const usualMs = tryEveryMs[step] ?? sessionPauseMs
  const isDisk = kind === 'disk full' || kind === 'folder'
  const everyMs = kind === 'rejected' ? rejectedMs : isDisk ? Math.min(usualMs, diskMs) : usualMs
  return Math.round(Math.max(sessionPauseMs, everyMs - tookMs) * (1 + random / 4))
}
