import { join } from 'node:path'
import { segmentPattern } from '../segments/segment-name.ts'
import type { Camera, VideoOutput } from './config.ts'
import { soundTicksPerSecond, steadyTime, videoTicksPerSecond } from './steady-time.ts'
import type { StreamInfo } from './stream-probe.ts'

/** The descriptors on which FFmpeg reports closed segments and its progress. */
const segmentListPipe = 3
const progressPipe = 4

/** A program's arguments, and what it reads on stdin. */
export interface Input {
  args: string[]
  stdin: string
}

/** FFmpeg's own patience is 5 s. */
const lateVideoUs = 20_000_000

const protocols = 'file,pipe,fd,rtsp,rtp,srtp,udp,tcp,tls,crypto,http,https,httpproxy,rtmp,rtmps'

export interface HowToConnect {
  stallAfterMs: number
  /** Whether it may last long until the first video comes. */
  lateVideo: boolean
}

/**
 * The camera as an input of ffmpeg or ffprobe. The URL goes through stdin, as a concat script of
 * one entry, so that no credential shows in `ps`.
 */
export function cameraInput(
  camera: Camera,
  { stallAfterMs, lateVideo }: HowToConnect,
  moreOptions: string[] = [],
): Input {
  // FFmpeg gives up after twice its timeout, in µs.
  const timeoutUs = Math.round((stallAfterMs / 2) * 1000)
  const options = camera.url.startsWith('rtsp')
    ? [`rtsp_transport ${camera.transport}`, `timeout ${timeoutUs}`]
    : [`rw_timeout ${timeoutUs}`]
  // Not for all: a camera that promises sound, and sends none, makes FFmpeg wait as long each time.
  if (lateVideo) options.push(`analyzeduration ${lateVideoUs}`)
  const script = ['ffconcat version 1.0', `file ${camera.url}`]
  return {
    args: ['-f', 'concat', '-safe', '0', '-protocol_whitelist', protocols, '-i', 'pipe:0'],
    stdin: [
      ...script,
      ...[...options, ...moreOptions].map((option) => `option ${option}`),
      '',
    ].join('\n'),
  }
}

export interface RecordingOptions {
  openFolder: string
  segmentSeconds: number
  stallAfterMs: number
  video: VideoOutput
}

/** FFmpeg's arguments for recording a camera in crash-safe segments, cut on the wall clock. */
export function recordingInput(
  camera: Camera,
  stream: StreamInfo,
  options: RecordingOptions & HowToConnect,
): Input {
  const isCopied = options.video.codec === 'copy'
  const { args, stdin } = cameraInput(camera, options, [
    // It is known what comes: FFmpeg need not count frames for a second before it writes the first.
    'fpsprobesize 0',
    // A decoder needs time stamps that don't jump; the clock here has such.
    ...(isCopied ? [] : ['use_wallclock_as_timestamps 1']),
  ])
  const output = join(options.openFolder.replaceAll('%', '%%'), segmentPattern(camera.name))
  return {
    args: [
      ...['-hide_banner', '-nostdin', '-loglevel', 'repeat+level+info'],
      ...['-nostats', '-stats_period', '0.5', '-progress', `pipe:${progressPipe}`],
      ...args,
      ...['-map', '0:v:0', ...videoArgs(stream, options.video)],
      ...audioArgs(camera, stream),
      ...(isCopied && camera.url.startsWith('rtsp') ? steadyTimeArgs(options.stallAfterMs) : []),
      ...['-dn', '-sn'],
      ...['-f', 'segment', '-segment_format', 'mp4', '-strftime', '1', '-reset_timestamps', '1'],
      // Cuts at wall-clock multiples keep two segments from beginning in one second, when the
      // second would be written over the first.
      ...['-segment_time', String(options.segmentSeconds), '-segment_atclocktime', '1'],
      // A fragment a second, flushed: killed at any moment, the file plays up to the last second.
      '-segment_format_options',
      `movflags=+empty_moov+default_base_moof:frag_duration=1000000:flush_packets=1:video_track_timescale=${videoTicksPerSecond}`,
      ...['-segment_list', `pipe:${segmentListPipe}`, '-segment_list_type', 'csv'],
      output,
    ],
    stdin,
  }
}

function videoArgs(stream: StreamInfo, video: VideoOutput): string[] {
  // Apple's players want hvc1; on any other codec the tag is an error.
  if (video.codec === 'copy')
    return ['-c:v', 'copy', ...(stream.video === 'hevc' ? ['-tag:v', 'hvc1'] : [])]
  return [
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p'],
    // A camera's pause stays one, instead of as many pictures of what was before.
    ...['-fps_mode', 'vfr'],
    ...(video.bitrate ? ['-b:v', video.bitrate] : []),
    ...(video.height ? ['-vf', `scale=-2:${video.height}`] : []),
    // Segments can only be cut at keyframes.
    ...['-force_key_frames', 'expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+2))'],
  ]
}

function steadyTimeArgs(longestPauseMs: number): string[] {
  return [
    ...['-bsf:v', steadyTime(videoTicksPerSecond, longestPauseMs)],
    ...['-bsf:a', steadyTime(soundTicksPerSecond, longestPauseMs)],
    // FFmpeg's own idea of a jump, after which it would complain of every packet.
    ...['-dts_error_threshold', '1e9'],
  ]
}

/** AAC is copied; MP4 can't hold what other cameras send (G.711), so that is transcoded. */
function audioArgs(camera: Camera, stream: StreamInfo): string[] {
  if (camera.audio === 'none' || stream.audio === undefined) return ['-an']
  if (stream.audio !== 'aac') return ['-map', '0:a:0?', '-c:a', 'aac']
  // AAC from RTP bears no keyframe flag, for which FFmpeg 7.1 would wait for ever.
  return ['-map', '0:a:0?', '-c:a', 'copy', '-copyinkf:a']
}
