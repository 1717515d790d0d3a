import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runChild, startChild, type ChildEnd } from '../daemon/child.ts'
import { memoryFor, withMemory } from '../daemon/memory-limit.ts'
import { addressOf } from '../recorder/camera-url.ts'
import type { Camera, VideoOutput } from '../recorder/config.ts'
import { isAsExpected, isSilence, recordingInput, recordsSound } from '../recorder/ffmpeg-args.ts'
import { diagnose, mayTellWhy, sayWhyNoVideo } from '../recorder/ffmpeg-diagnosis.ts'
import { explainRejection } from '../recorder/rejection.ts'
import { StreamReader, type StreamInfo } from '../recorder/stream-info.ts'
import {
  sampleNewest,
  sampleOpenFile,
  watchSeconds,
  type CameraSample,
  type CurrentRecording,
} from './camera-sample.ts'
import type { Finding } from './finding.ts'

export interface CheckedCamera {
  finding: Finding
  sample?: CameraSample
}

export interface CheckOptions {
  video: VideoOutput
  /** By our own recorder: then its file is looked at, for a camera may serve one client only. */
  current: CurrentRecording | undefined
  /** What the recorder remembers of the camera. */
  remembered: StreamInfo | undefined
}

/** With a keyframe, that is enough of a recording; for a second keyframe it goes on a little longer. */
const enoughSeconds = 3
const atMostMs = 25_000
/** Longest time before FFmpeg's end in which it writes the frames that it had kept. */
const tailMs = 1500
const pollMs = 300
/** How long the camera may be silent. */
const patienceMs = 6000
const endsWithinMs = 3000
/** Segments can only be cut at keyframes, and a new recording begins with one. */
const longestKeyframeSeconds = 4
/** Longer than any segment. */
const oneSegmentSeconds = 86_400 * 7

/** Records a camera for some seconds, as the recorder would, and judges what has reached the file. */
export async function checkCamera(
  camera: Camera,
  options: CheckOptions,
  signal: AbortSignal,
): Promise<CheckedCamera> {
  const subject = camera.name
  if (options.current) {
    const sample = await sampleOpenFile(camera, options.current)
    if (sample) return { finding: judgeSample(camera, sample), sample }
  }
  const untilMs = performance.now() + atMostMs
  const folder = await mkdtemp(join(tmpdir(), 'check-camera-'))
  try {
    const { remembered, video } = options
    let trial = await record(camera, remembered, { folder, video, untilMs }, signal)
    // What it sends takes another container: the recorder would begin anew, too.
    if (trial.stream && !isAsExpected(camera, remembered, trial.stream)) {
      await sleep(1000)
      trial = await record(camera, trial.stream, { folder, video, untilMs }, signal)
    }
    const { sample } = trial
    if (!sample)
      return { finding: { is: 'fault', subject, text: await whyNothing(camera, trial, signal) } }
    if (!trial.isOurEnd && !isEnough(sample))
      return { finding: { is: 'fault', subject, text: whyBrief(camera, sample, trial) } }
    const unplayable = await playFault(join(folder, sample.file), signal)
    if (unplayable !== undefined) return { finding: { is: 'fault', subject, text: unplayable } }
    return { finding: judgeSample(camera, sample), sample }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Trial {
  stream: StreamInfo | undefined
  sample: Awaited<ReturnType<typeof sampleNewest>>
  end: ChildEnd
  /** Whether we ended it. */
  isOurEnd: boolean
  /** How long the file hadn't grown then, or FFmpeg ran where there was none. */
  quietMs: number
}

async function record(
  camera: Camera,
  known: StreamInfo | undefined,
  { folder, video, untilMs }: { folder: string; video: VideoOutput; untilMs: number },
  signal: AbortSignal,
): Promise<Trial> {
  const reader = new StreamReader()
  const { args, stdin, memoryBytes } = recordingInput(camera, known, {
    ...{ openFolder: folder, segmentSeconds: oneSegmentSeconds, video },
    ...{ stallAfterMs: patienceMs, lateVideo: false },
  })
  const state: { isUnexpected: boolean; end?: ChildEnd } = { isUnexpected: false }
  const child = startChild(withMemory(memoryBytes, ['ffmpeg', ...args]), {
    ...{ stdin, pipes: 2 },
    onLine: (line) => {
      const isListed = reader.read(line)
      if (isListed && reader.stream)
        state.isUnexpected ||= !isAsExpected(camera, known, reader.stream)
      return mayTellWhy(line)
    },
  })
  for (const output of child.outputs) output.resume()
  void child.ended.then((end) => (state.end = end))
  let sample: Trial['sample']
  let [grewBeforeMs, grewMs] = [performance.now(), performance.now()]
  while (!state.end && !state.isUnexpected && !signal.aborted && performance.now() < untilMs) {
    await child.endsWithin(pollMs)
    const seconds = sample?.seconds
    sample = await sampleNewest(folder, reader.stream)
    if (!state.end && sample?.seconds !== seconds)
      [grewBeforeMs, grewMs] = [grewMs, performance.now()]
    if (sample && isEnough(sample)) break
  }
  const isOurEnd = state.end === undefined
  const isTail = performance.now() - grewMs < tailMs
  const quietMs = performance.now() - (isTail ? grewBeforeMs : grewMs)
  child.kill('SIGINT')
  if (!(await child.endsWithin(endsWithinMs))) child.kill('SIGKILL')
  await child.endsWithin(endsWithinMs)
  const end = state.end ?? { code: null, signal: null, lines: [] }
  sample = await sampleNewest(folder, reader.stream)
  return { stream: reader.stream, sample, end, isOurEnd, quietMs }
}

function isEnough({ seconds, keyframes }: CameraSample): boolean {
  return seconds >= (keyframes > 1 ? enoughSeconds : watchSeconds)
}

/** What ffprobe has against a recording. */
async function playFault(path: string, signal: AbortSignal): Promise<string | undefined> {
  const entries = ['-show_entries', 'stream=codec_type', '-of', 'csv=p=0']
  const command = ['ffprobe', '-v', 'error', '-protocol_whitelist', 'file', ...entries]
  const { stdout, code, lines } = await runChild(
    withMemory(memoryFor.copying, [...command, `file:${path}`]),
    { atMostMs: patienceMs },
    signal,
  )
  if (code === 0 && stdout.includes('video')) return undefined
  return `what FFmpeg records of it can't be played${lines[0] ? ` (${lines[0].replaceAll(path, '')})` : ''}`
}

async function whyNothing(
  camera: Camera,
  { end, isOurEnd, quietMs }: Trial,
  signal: AbortSignal,
): Promise<string> {
  if (isOurEnd) return sayWhyNoVideo(camera, end.lines)
  const diagnosis = diagnose(camera, end, isSilence(camera, quietMs, patienceMs))
  return (await explainRejection(camera, diagnosis, signal)).text
}

/** Of a camera that has ended the recording itself. */
function whyBrief(camera: Camera, { seconds }: CameraSample, { end, quietMs }: Trial): string {
  const { kind, text } = diagnose(camera, end, isSilence(camera, quietMs, patienceMs))
  const after = `after ${Math.round(seconds)} s of video`
  if (kind !== 'silent') return `${text}, ${after}`
  return `${addressOf(camera.url)} fell silent ${after}: look at its network (cable, Wi-Fi, power), or restart it`
}

/** Pure: whether what a camera sends records well. */
export function judgeSample(camera: Camera, sample: CameraSample): Finding {
  const { stream, fps, keyframeEverySeconds: every, sounds } = sample
  const { video, width, height, audio } = stream
  const subject = camera.name
  const rate = `${(sample.bitsPerSecond / 1e6).toFixed(1)} Mbit/s`
  const shownFps = fps < 4 ? Number(fps.toFixed(1)) : Math.round(fps)
  const what = [
    `${video} ${width}x${height}`,
    `${shownFps} fps`,
    ...keyframeText(sample),
    rate,
    soundText(camera, sample),
  ]
  const text = `${addressOf(camera.url)} sends ${what.join(', ')}`
  if (
    audio !== undefined &&
    camera.audio === 'auto' &&
    !recordsSound(camera, stream) &&
    sounds === 0
  )
    return {
      is: 'warning',
      subject,
      text: `${text}; CAMERA_${camera.number}_AUDIO=none silences this`,
    }
  // As it is shown: the clocks of cameras are not exact.
  if (Number(every.toFixed(1)) <= longestKeyframeSeconds) return { is: 'ok', subject, text }
  const mend =
    'set its I-frame interval to 2 s, and any "smart" codec (H.264+, H.265+) off: a recording can begin, and be cut, at keyframes only'
  return { is: 'warning', subject, text: `${text}: ${mend}` }
}

/** Nothing where what was seen is too short to tell. */
function keyframeText({ keyframes, keyframeEverySeconds, seconds }: CameraSample): string[] {
  if (keyframes >= 2) return [`a keyframe every ${keyframeEverySeconds.toFixed(1)} s`]
  return seconds < 1 ? [] : [`no second keyframe within ${Math.round(seconds)} s`]
}

function soundText(camera: Camera, { stream, sounds }: CameraSample): string {
  const { audio } = stream
  if (audio === undefined) return 'no audio'
  if (camera.audio === 'none') return `${audio} (not recorded: CAMERA_${camera.number}_AUDIO=none)`
  if (audio === 'unknown')
    return 'and sound of a codec that FFmpeg does not know, which is not recorded'
  if (!recordsSound(camera, stream)) return `and sound as ${audio}, which cannot be recorded`
  return sounds > 0 ? audio : `${audio}, though no sound has come yet (is its microphone off?)`
}
