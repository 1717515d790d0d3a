import type { Trouble } from '../daemon/alerts.ts'
import type { CameraStatus } from './camera-recorder.ts'

/** With a long STALL_SECONDS nothing ends a recording that has frozen. */
const frozenAfterMs = 30_000

/** Whether a camera isn't recorded, and why; one that is said to be may have fallen silent. */
export function cameraTroubles(status: CameraStatus, nowMs: number, afterMs: number): Trouble[] {
  const { name, state, since, problem, footageUntil } = status
  const subject = subjectOf(name)
  if (state === 'recording') {
    const lastedMs = nowMs - Date.parse(footageUntil ?? '')
    const text = 'not recording: no new video'
    return lastedMs > frozenAfterMs ? [{ subject, text, lastedMs, afterMs }] : []
  }
  const lastedMs = nowMs - Date.parse(since)
  // Every camera takes a moment to connect after the recorder's own start.
  const isMild = problem === undefined && lastedMs < afterMs
  const text = `not recording: ${problem ?? 'no answer'}`
  return [{ subject, text, lastedMs, afterMs, isMild }]
}

/** Whether an earlier recorder's trouble was with a camera that isn't configured any more. */
export function isGoneCamera(subject: string, names: string[]): boolean {
  return subject.startsWith(subjectOf('')) && !names.map(subjectOf).includes(subject)
}

function subjectOf(name: string): string {
  return `camera ${name}`
}
