import { join } from 'node:path'
import { memoryFor } from '../daemon/memory-limit.ts'
import { segmentPattern } from '../segments/segment-name.ts'
import {
  bridgePackets,
  bridgePictures,
  flvTicksPerSecond,
  soundTicksPerSecond,
  videoTicksPerSecond,
} from './bridge.ts'
import type { Camera, VideoOutput } from './config.ts'
import { soundFormat } from './sound-formats.ts'
import type { StreamInfo } from './stream-info.ts'
import { fragmentSeconds, reportEverySeconds } from './timing/run-times.ts'

/** The descriptors on which FFmpeg reports closed segments and its progress. */
const segmentListPipe = 3
const progressPipe = 4

/** A program's arguments, and what it reads on stdin. */
export interface Input {
  args: string[]
  stdin: string
}

/** How much later than the watchdog FFmpeg loses its patience. */
const watchdogFirstMs = 3000

/** FFmpeg's own patience is 5 s, or 5 MB. */
const lateVideo = ['analyzeduration 90000000', 'probesize 64000000']

/** Protocols that FFmpeg may use, by the scheme of the camera's URL: a camera can name other addresses, but no file of this machine. */
const protocols: Record<string, string> = {
  rtsp: 'pipe,fd,rtsp,rtp,srtp,udp,tcp',
  rtsps: 'pipe,fd,rtsp,rtp,srtp,udp,tcp,tls',
  http: 'pipe,fd,http,https,httpproxy,tcp,tls,crypto',
  https: 'pipe,fd,http,https,httpproxy,tcp,tls,crypto',
  rtmp: 'pipe,fd,rtmp,tcp',
  rtmps: 'pipe,fd,rtmp,rtmps,tcp,tls',
}
/** Formats that FFmpeg may read, by the scheme of the camera's URL: none that opens ports or files, as SDP and concat do. HLS segments can be MOV, or AAC alone. */
const formats: Record<string, string> = {
  rtsp: 'rtsp,mpegts',
  rtsps: 'rtsp,mpegts',
  http: 'flv,live_flv,mpegts,mpjpeg,hls,mov,aac',
  https: 'flv,live_flv,mpegts,mpjpeg,hls,mov,aac',
  rtmp: 'flv,live_flv',
  rtmps: 'flv,live_flv',
}

export interface HowToConnect {
  stallAfterMs: number
  /** Whether it may last long until the first video comes. */
  lateVideo: boolean
}

export interface RecordingOptions {
  openFolder: string
  segmentSeconds: number
  stallAfterMs: number
  video: VideoOutput
}

/**
 * FFmpeg's arguments for recording a camera in crash-safe segments, cut on the wall clock. `known` is
 * what the camera was last seen to send; `memoryBytes` is what that may take.
 */
export function recordingInput(
  camera: Camera,
  known: StreamInfo | undefined,
  options: RecordingOptions & HowToConnect,
): Input & { memoryBytes: number } {
  const hasSound = recordsSound(camera, known)
  const { args, stdin } = cameraInput(camera, hasSound, options)
  const output = join(options.openFolder.replaceAll('%', '%%'), segmentPattern(camera.name))
  const isCopied = options.video.codec === 'copy'
  const isRtsp = camera.url.startsWith('rtsp')
  const ticks = isRtsp ? videoTicksPerSecond : (known?.ticksPerSecond ?? flvTicksPerSecond)
  return {
    args: [
      // The plus in front leaves it at one line where the same is said again and again.
      ...['-hide_banner', '-nostdin', '-loglevel', '+level+info'],
      ...['-nostats', '-stats_period', String(reportEverySeconds)],
      ...['-progress', `pipe:${progressPipe}`],
      // Threads that decode a frame each would each hold one back.
      ...(isCopied ? [] : ['-thread_type', 'slice']),
      ...args,
      ...['-map', '0:v:0', ...videoArgs(known, options.video)],
      ...(isCopied ? ['-bsf:v', bridgePackets(ticks, { tellsWaits: true })] : []),
      ...(hasSound ? soundArgs(known, isRtsp ? soundTicksPerSecond : ticks) : ['-an']),
      ...['-dn', '-sn'],
      // FFmpeg's own ideas of a jump, after which it would complain of every packet, and of how long
      // picture waits for sound.
      ...['-dts_error_threshold', '1e9', '-max_interleave_delta', '100000'],
      ...['-f', 'segment', '-segment_format', containerOf(known), '-strftime', '1'],
      // Cuts at wall-clock multiples keep two segments from beginning in one second, when the
      // second would be written over the first.
      ...['-segment_time', String(options.segmentSeconds), '-segment_atclocktime', '1'],
      ...['-segment_format_options', fragmentOptions.join(':')],
      ...['-segment_list', `pipe:${segmentListPipe}`, '-segment_list_type', 'csv'],
      output,
    ],
    stdin,
    memoryBytes: isCopied ? memoryFor.copying : memoryFor.encoding,
  }
}

/**
 * Fragments, flushed: killed at any moment, a file plays up to the last of them. Time stamps go on
 * from file to file, and with them is written whose clock FFmpeg knows (see timing/sound-offset.ts).
 */
const fragmentOptions = [
  'movflags=+empty_moov+default_base_moof+frag_discont',
  `frag_duration=${fragmentSeconds * 1_000_000}`,
  'avoid_negative_ts=disabled',
  'use_editlist=0',
  'write_prft=wallclock',
  'flush_packets=1',
  `video_track_timescale=${videoTicksPerSecond}`,
]

/** Whether the sound of a camera is to be recorded, as far as is known of it. */
export function recordsSound(camera: Camera, known: StreamInfo | undefined): boolean {
  if (camera.audio === 'none') return false
  return known?.audio === undefined || soundFormat(known.audio) !== undefined
}

/** Whether what a camera is found to send can be recorded as FFmpeg was told to. */
export function isAsExpected(
  camera: Camera,
  known: StreamInfo | undefined,
  found: StreamInfo,
): boolean {
  if (known && known.video !== found.video) return false
  const isTimedAlike = known?.ticksPerSecond === found.ticksPerSecond
  if (!camera.url.startsWith('rtsp') && !isTimedAlike && (known || !isFlvTime(found))) return false
  if (camera.audio === 'none' || found.audio === undefined || found.audio === 'unknown') return true
  return recordsSound(camera, found)
    ? recordsSound(camera, known) && containerOf(known) === containerOf(found)
    : !recordsSound(camera, known)
}

function isFlvTime({ ticksPerSecond }: StreamInfo): boolean {
  return ticksPerSecond === undefined || ticksPerSecond === flvTicksPerSecond
}

/** Whether FFmpeg may have ended for want of video: it gives up after once or twice its timeout. */
export function isSilence(camera: Camera, quietMs: number, stallAfterMs: number): boolean {
  return quietMs >= 0.75 * timeoutMs(camera, stallAfterMs)
}

/**
 * At its first timeout FFmpeg passes on what it has of a frame, as if that were all of it, and then
 * waits once more. Of RTP, where that would tear frames, the watchdog loses patience before.
 */
function timeoutMs({ url }: Camera, stallAfterMs: number): number {
  return url.startsWith('rtsp') ? stallAfterMs + watchdogFirstMs : stallAfterMs / 2
}

/**
 * The camera as an input of FFmpeg. The URL goes through stdin, as a concat script of one entry, so
 * that no credential shows in `ps`. That demuxer also makes of H.264 in FLV what RTP has, with the
 * parameter sets in front of keyframes, where finalizing finds them (5.1 only those of the beginning).
 */
function cameraInput(
  camera: Camera,
  hasSound: boolean,
  { stallAfterMs, lateVideo: isLate }: HowToConnect,
): Input {
  const scheme = new URL(camera.url).protocol.slice(0, -1)
  const isRtsp = scheme.startsWith('rtsp')
  const timeoutUs = Math.round(timeoutMs(camera, stallAfterMs) * 1000)
  const options = [
    ...(isRtsp
      ? [`rtsp_transport ${camera.transport}`, `timeout ${timeoutUs}`]
      : [`rw_timeout ${timeoutUs}`]),
    // A camera signs its certificate itself; FFmpeg 9.0 would refuse it, as earlier ones don't.
    ...(/^(rtsps|https|rtmps)$/.test(scheme) ? ['tls_verify 0'] : []),
    // What isn't asked for need not be waited for.
    ...(isRtsp ? [`allowed_media_types ${hasSound ? 'video+audio' : 'video'}`] : []),
    `format_whitelist ${formats[scheme] ?? ''}`,
    // FFmpeg need not count frames for a second, nor wait for a sound that is promised, before it
    // writes the first.
    'fpsprobesize 0',
    'max_ts_probe 0',
    ...(isLate ? lateVideo : []),
  ]
  const script = ['ffconcat version 1.0', `file ${camera.url}`]
  return {
    args: [
      ...['-f', 'concat', '-safe', '0', '-protocol_whitelist', protocols[scheme] ?? 'pipe,fd'],
      ...['-fpsprobesize', '0', '-max_ts_probe', '0'],
      ...['-i', 'pipe:0'],
    ],
    stdin: [...script, ...options.map((option) => `option ${option}`), ''].join('\n'),
  }
}

function videoArgs(known: StreamInfo | undefined, video: VideoOutput): string[] {
  // From what it tags as hvc1, FFmpeg 9.0 drops the parameter sets that come later; on any other codec
  // the tag is an error.
  if (video.codec === 'copy')
    return ['-c:v', 'copy', ...(known?.video === 'hevc' ? ['-tag:v', 'hev1'] : [])]
  const filters = [bridgePictures(), ...(video.height ? [`scale=-2:${video.height}`] : [])]
  return [
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p'],
    // A camera's pause stays one, instead of as many pictures of what was before.
    ...['-fps_mode', 'vfr', '-enc_time_base', `1:${videoTicksPerSecond}`],
    ...(video.bitrate ? ['-b:v', video.bitrate] : []),
    ...['-vf', filters.join(',')],
    // Segments can only be cut at keyframes.
    ...['-force_key_frames', 'expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+2))'],
  ]
}

function soundArgs(known: StreamInfo | undefined, ticks: number | string): string[] {
  const args = known?.audio === undefined ? [] : (soundFormat(known.audio)?.args ?? [])
  // AAC from RTP bears no keyframe flag, for which FFmpeg 7.1 would wait for ever.
  const copy = ['-map', '0:a:0?', '-c:a', 'copy', '-copyinkf:a', ...args]
  return [...copy, '-bsf:a', bridgePackets(ticks, { tellsWaits: false })]
}

function containerOf(known: StreamInfo | undefined): string {
  const format = known?.audio === undefined ? undefined : soundFormat(known.audio)
  return format?.container ?? 'mp4'
}
