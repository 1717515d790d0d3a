import type { Trouble } from '../daemon/alerts.ts'
import type { CameraStatus } from './camera-recorder.ts'

/** With a long STALL_SECONDS nothing ends a recording that has frozen. */
const frozenAfterMs = 30_000

/** Whether a camera isn't recorded, and why; one that is said to be may have fallen silent. */
export function cameraTroubles(status: CameraStatus, nowMs: number, afterMs: number): Trouble[] {
  const { name, state, problem, footageUntil } = status
  const withoutMs = nowMs - Date.parse(footageUntil ?? '')
  if (state === 'recording' && !(withoutMs > frozenAfterMs)) return []
  const why = state === 'recording' ? 'no new video' : (problem ?? 'no answer')
  return [{ subject: subjectOf(name), text: `not recording: ${why}`, afterMs }]
}

/** Whether an earlier recorder's trouble was with a camera that isn't configured any more. */
export function isGoneCamera(subject: string, names: string[]): boolean {
  return subject.startsWith(subjectOf('')) && !names.map(subjectOf).includes(subject)
}

function subjectOf(name: string): string {
  return `camera ${name}`
}
