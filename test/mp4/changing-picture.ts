import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Pictures in a row of which each keyframe, every half second, bears its parameter sets. */
export interface Piece {
  codec?: 'h264' | 'hevc'
  size: string
  /** Of 10 frames each. */
  seconds?: number
  /** For x264 or x265. */
  params?: string
  /** Other options of FFmpeg, such as a filter. */
  options?: string[]
}

export const framesPerSecond = 10
export const asFragments = ['-movflags', '+empty_moov+default_base_moof']

/** One picture after the other as a stream of NAL units. */
export async function stream(pieces: Piece[]): Promise<Buffer> {
  return Buffer.concat(await Promise.all(pieces.map(encode)))
}

/** A segment as the recorder leaves it, of a picture that changes without a new connection. */
export async function changingSegment(
  path: string,
  pieces: Piece[],
  options: SegmentOptions = {},
): Promise<void> {
  const codec = pieces[0]?.codec ?? 'h264'
  await segmentOf(path, await stream(pieces), { codec, ...options })
}

interface SegmentOptions extends Pick<Piece, 'codec'> {
  /** Four seconds of it. */
  sound?: boolean
}

export async function segmentOf(
  path: string,
  units: Buffer,
  { codec = 'h264', sound = false }: SegmentOptions = {},
): Promise<void> {
  await writeFile(`${path}.units`, units)
  const input = ['-f', codec, '-framerate', String(framesPerSecond), '-i', `${path}.units`]
  // What the encoder puts before the first sample is not to shift the picture.
  const late = ['-itsoffset', '0.064', '-f', 'lavfi', '-i', 'sine=sample_rate=16000:duration=4']
  const tone = sound ? late : []
  const tag = codec === 'hevc' ? ['-tag:v', 'hev1'] : []
  const output = ['-c:v', 'copy', ...tag, '-c:a', 'aac', '-video_track_timescale', '90000']
  const fragments = [...asFragments, '-frag_duration', '500000']
  await run('ffmpeg', ['-v', 'error', ...input, ...tone, ...output, ...fragments, path])
}

/** What makes FFmpeg encode a piece. */
export function encoderArgs({ codec = 'h264', size, seconds = 2, params, options = [] }: Piece) {
  const common = 'repeat-headers=1:keyint=5:min-keyint=5:scenecut=0:bframes=0'
  const quiet = codec === 'hevc' ? ':log-level=error:open-gop=0' : ''
  const encoder = codec === 'hevc' ? ['libx265', '-x265-params'] : ['libx264', '-x264-params']
  return [
    ...['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${framesPerSecond}`],
    ...['-t', String(seconds), ...options, '-preset', 'ultrafast', '-c:v', ...encoder],
    [common + quiet, params].filter(Boolean).join(':'),
  ]
}

async function encode(piece: Piece): Promise<Buffer> {
  const args = [...encoderArgs(piece), '-f', piece.codec ?? 'h264']
  const folder = join(tmpdir(), 'camera-to-s3-pictures')
  const path = join(folder, createHash('sha256').update(args.join('\n')).digest('hex').slice(0, 16))
  if (!existsSync(path)) {
    await mkdir(folder, { recursive: true })
    const temporary = `${path}.${randomUUID()}`
    await run('ffmpeg', [...args, temporary])
    await rename(temporary, path)
  }
  return readFile(path)
}
