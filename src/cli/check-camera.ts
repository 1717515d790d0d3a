import { z } from 'zod'
import { runChild } from '../daemon/child.ts'
import { defaultPorts } from '../recorder/camera-url.ts'
import type { Camera } from '../recorder/config.ts'
import { cameraInput } from '../recorder/ffmpeg-args.ts'
import { diagnose, noVideo } from '../recorder/ffmpeg-diagnosis.ts'
import type { Finding } from './finding.ts'

/** What a camera sent while it was watched. */
export interface CameraSample {
  video: string
  width: number
  height: number
  audio: string | undefined
  fps: number
  bitsPerSecond: number
  keyframes: number
  /** The longest time without one, as far as it was watched. */
  keyframeEverySeconds: number
  seconds: number
}

export interface CheckedCamera {
  finding: Finding
  sample?: CameraSample
}

const watchSeconds = 7
/** FFmpeg gives up a camera that says nothing after twice half of it. */
const patienceMs = 6000
const atMostMs = 12_000
/** Segments can only be cut at keyframes, and a new recording begins with one. */
const longestKeyframeSeconds = 4

const probed = z.object({
  streams: z.array(
    z.object({
      index: z.number(),
      codec_type: z.string(),
      codec_name: z.string().optional(),
      width: z.number().optional(),
      height: z.number().optional(),
    }),
  ),
  packets: z.array(
    z.object({
      stream_index: z.number(),
      pts_time: z.coerce.number().optional(),
      dts_time: z.coerce.number().optional(),
      size: z.coerce.number(),
      flags: z.string(),
    }),
  ),
})

/** Watches a camera for some seconds as the recorder would. */
export async function checkCamera(camera: Camera, signal: AbortSignal): Promise<CheckedCamera> {
  const subject = camera.name
  const input = cameraInput(camera, { stallAfterMs: patienceMs, lateVideo: false })
  const entries =
    'stream=index,codec_type,codec_name,width,height:packet=stream_index,pts_time,dts_time,size,flags'
  const command = ['ffprobe', '-v', 'error', '-of', 'json', '-show_entries', entries]
  const end = await runChild(
    [...command, '-read_intervals', `%+${watchSeconds}`, ...input.args],
    { stdin: input.stdin, atMostMs },
    signal,
  )
  const sample = readSample(end.stdout)
  if (sample) return { finding: judgeSample(camera, sample), sample }
  // One that we ended ourselves was not ended by a signal, for whoever reads it.
  const why = end.timedOut ? { code: 1, signal: null, lines: ['timed out'] } : end
  const { text } = why.code === 0 ? noVideo(camera) : diagnose(camera, why)
  return { finding: { is: 'fault', subject, text } }
}

/** Pure: whether what a camera sends records well. */
export function judgeSample(camera: Camera, sample: CameraSample): Finding {
  const { video, width, height, fps, keyframeEverySeconds: every, audio, seconds } = sample
  const subject = camera.name
  const key =
    sample.keyframes < 2
      ? `no second keyframe within ${Math.round(seconds)} s`
      : `a keyframe every ${every.toFixed(1)} s`
  const rate = `${(sample.bitsPerSecond / 1e6).toFixed(1)} Mbit/s`
  const what = [`${video} ${width}x${height}`, `${Math.round(fps)} fps`, key, rate]
  const { hostname, port, protocol } = new URL(camera.url)
  const address = `${hostname}:${port || defaultPorts[protocol.slice(0, -1)]}`
  const text = `${address} sends ${[...what, audio ?? 'no audio'].join(', ')}`
  if (seconds + 1 / fps < watchSeconds - 1) {
    const mend = 'look at its network (cable, Wi-Fi, power), or restart it'
    const silent = `${address} fell silent after ${Math.round(seconds)} s of video: ${mend}`
    return { is: 'fault', subject, text: silent }
  }
  // As it is shown: the clocks of cameras are not exact.
  if (Number(every.toFixed(1)) <= longestKeyframeSeconds) return { is: 'ok', subject, text }
  const mend =
    'set its I-frame interval to 2 s, and any "smart" codec (H.264+, H.265+) off: a recording can begin, and be cut, at keyframes only'
  return { is: 'warning', subject, text: `${text}: ${mend}` }
}

type Packet = z.infer<typeof probed>['packets'][number]

function readSample(json: string): CameraSample | undefined {
  const { data } = probed.safeParse(parseJson(json))
  const video = data?.streams.find(({ codec_type: type }) => type === 'video')
  if (!data || !video?.codec_name || !video.width || !video.height) return undefined
  const of = data.packets.filter(({ stream_index: index }) => index === video.index)
  const times = timesOf(of)
  const [begin, end] = [Math.min(...times), Math.max(...times)]
  const seconds = end - begin
  if (times.length < 2 || seconds <= 0) return undefined
  const keys = times.filter((_, index) => of[index]?.flags.includes('K'))
  const bytes = data.packets.reduce((sum, { size }) => sum + size, 0)
  return {
    ...{ video: video.codec_name, width: video.width, height: video.height },
    audio: data.streams.find(({ codec_type: type }) => type === 'audio')?.codec_name,
    fps: (times.length - 1) / seconds,
    bitsPerSecond: (8 * bytes) / seconds,
    keyframes: keys.length,
    keyframeEverySeconds: longestStep([begin, ...keys, end]),
    seconds,
  }
}

/** When each packet is due; of the first ones, often the first keyframe, cameras say nothing. */
function timesOf(packets: Packet[]): number[] {
  const said = packets.map(({ pts_time: pts, dts_time: dts }) => pts ?? dts)
  const first = said.findIndex((time) => time !== undefined)
  const last = said.findLastIndex((time) => time !== undefined)
  const [from = 0, to = 0] = [said[first], said[last]]
  const step = (to - from) / Math.max(1, last - first)
  return first < 0 ? [] : said.map((time, index) => time ?? from + (index - first) * step)
}

function longestStep(times: number[]): number {
  return Math.max(...times.slice(1).map((time, index) => time - (times[index] ?? time)))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
