import { saySilent, sayWhyNoVideo, type Diagnosis } from './ffmpeg-diagnosis.ts'
import type { Camera } from './config.ts'
import type { Stall } from './stall-verdict.ts'
import type { StreamInfo } from './stream-info.ts'

/** How one attempt at recording ended. */
export type RunEnd =
  | { why: 'stopped' }
  /** `lines` are the last that it said. */
  | { why: 'stalled'; stall: Stall; lines: string[] }
  /** The camera sends something else than FFmpeg was started for. */
  | { why: 'stream changed'; found: StreamInfo }
  /** A camera that was silent answers again, but not what FFmpeg had asked it before. */
  | { why: 'answers again' }
  /** Another FFmpeg records this camera. */
  | { why: 'locked'; lockFile: string }
  | { why: 'ended'; diagnosis: Diagnosis }

/** Whether it was the camera that ended it, or made it end. */
export function isEndedByCamera(end: RunEnd): boolean {
  if (end.why === 'stalled') return end.stall === 'no new video'
  return end.why === 'ended' && ['closed', 'silent'].includes(end.diagnosis.kind)
}

/** Whether the camera was silent until it ended, as far as anybody knows. */
export function isEndedBySilence(end: RunEnd): boolean {
  if (end.why === 'stalled') return end.stall === 'no new video'
  return end.why === 'ended' && ['no answer', 'silent'].includes(end.diagnosis.kind)
}

/** Whether it tells how to go on at once, and nothing is wrong. */
export function isNoFault(end: RunEnd): boolean {
  return end.why === 'stream changed' || end.why === 'answers again'
}

/** Why it ended, as its user would say it. */
export function describeEnd(camera: Camera, end: RunEnd): string {
  switch (end.why) {
    case 'stopped':
      return 'stopped'
    case 'stalled':
      if (end.stall === 'file deleted') return 'its file in recordings/open/ was deleted'
      if (end.stall === 'no video since the start') return sayWhyNoVideo(camera, end.lines)
      if (end.stall === 'no new video') return saySilent(camera)
      return `the camera or FFmpeg has stalled: ${end.stall}`
    case 'stream changed':
      return `the camera now sends ${[end.found.video, end.found.audio].filter(Boolean).join(' and ')}`
    case 'answers again':
      return 'the camera answers again'
    case 'locked':
      return 'another FFmpeg of this installation records the camera'
    case 'ended':
      return end.diagnosis.text
  }
}

/** The reason of a gap in which nothing was to record. */
export const recorderDown = 'recorder down'

const byDiagnosis: Record<Diagnosis['kind'], string> = {
  rejected: 'password rejected',
  'not found': 'stream not found',
  refused: 'camera refused',
  busy: 'camera busy',
  'no answer': 'camera silent',
  'unknown host': 'unknown host',
  silent: 'camera silent',
  'no video': 'no video',
  'disk full': 'disk full',
  folder: 'folder not writable',
  format: 'format refused',
  memory: 'FFmpeg out of memory',
  misleading: 'camera leads elsewhere',
  'program missing': 'FFmpeg missing',
  closed: 'camera disconnected',
  killed: 'FFmpeg died',
  other: 'FFmpeg died',
}

const byStall: Record<Stall, string> = {
  'process gone': 'FFmpeg died',
  'file deleted': 'file deleted',
  'no file open': 'no file open',
  'file not growing': 'file not growing',
  'no new video': 'camera silent',
  'no video since the start': 'no video',
}

/** The reason for a gap that begins, or goes on, with this end of an attempt. */
export function gapReason(end: RunEnd): string {
  switch (end.why) {
    case 'stopped':
      return recorderDown
    case 'stalled':
      return byStall[end.stall]
    case 'stream changed':
      return 'stream changed'
    case 'answers again':
      return byDiagnosis.silent
    case 'locked':
      return 'an earlier FFmpeg still recorded'
    case 'ended':
      return byDiagnosis[end.diagnosis.kind]
  }
}
