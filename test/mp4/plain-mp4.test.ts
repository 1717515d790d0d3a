import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { recordingInput } from '../../src/recorder/ffmpeg-args.ts'
import type { FragmentedMp4 } from '../../src/mp4/fragmented-mp4.ts'
import { probeMedia, type Media } from '../../src/uploader/media-probe.ts'
import { isFaststart } from '../../src/mp4/boxes.ts'
import { readPlainMp4 } from '../../src/mp4/plain-mp4-index.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { firstDifference, packetsOf, writePlain } from './packets.ts'
import { never, tools } from '../uploader/workbench.ts'

const run = promisify(execFile)

/** Inputs and encoders of small pictures and a tone. */
const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=160x90:rate=25']
const tone = ['-f', 'lavfi', '-i', 'sine=sample_rate=16000']
const late = ['-itsoffset', '0.7']
const h264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', '25', '-bf', '0']
const hevc = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=error']
const aac = ['-c:a', 'aac']
const bFrames = ['-bf', '3']
const flags = (more = ''): string[] => ['-movflags', `+empty_moov+default_base_moof${more}`]
const asRecorded = [...flags(), '-frag_duration', '1000000', '-video_track_timescale', '90000']
const seconds = (count: number): string[] => ['-t', String(count)]
const filter = (text: string): string[] => ['-vf', text, '-fps_mode', 'passthrough']

const zoo: Record<string, string[]> = {
  'H.264 and AAC': [...picture, ...tone, ...seconds(5), ...h264, ...aac, ...asRecorded],
  'H.264 without sound': [...picture, ...seconds(4), ...h264, ...asRecorded],
  'H.264 with B-frames': [...picture, ...tone, ...seconds(4), ...h264, ...bFrames, ...asRecorded],
  'B-frames without sound': [...picture, ...seconds(4), ...h264, ...bFrames, ...asRecorded],
  'HEVC as hvc1, with AAC': [
    ...[...picture, ...tone, ...seconds(4), ...hevc, '-tag:v', 'hvc1', ...aac, ...asRecorded],
  ],
  'HEVC as hvc1, without sound': [
    ...[...picture, ...seconds(4), ...hevc, '-g', '25', '-tag:v', 'hvc1', ...asRecorded],
  ],
  'sound that begins late': [
    ...[...picture, ...late, ...tone, ...seconds(4), ...h264, ...bFrames, ...asRecorded],
  ],
  'video that begins late': [
    ...[...late, ...picture, ...tone, ...seconds(4), ...h264, ...bFrames, ...asRecorded],
  ],
  'a variable frame rate': [
    ...[...picture, ...tone, ...seconds(4), ...filter("select='mod(n,5)*mod(n,7)'")],
    ...[...h264, ...aac, ...asRecorded],
  ],
  'frames that jitter': [
    ...[...picture, ...tone, ...seconds(4), ...filter('setpts=PTS+random(0)*0.03/TB')],
    ...[...h264, ...aac, ...asRecorded],
  ],
  'a gap in the middle': [
    ...[...picture, ...tone, ...seconds(6), ...filter("select='not(between(t,1.5,4))'")],
    ...['-af', "aselect='not(between(t,1.5,4))'", ...h264, ...aac, ...asRecorded],
  ],
  'one keyframe only': [...picture, ...seconds(4), ...h264, '-g', '1000', ...asRecorded],
  'keyframes only': [...picture, ...seconds(2), ...h264, '-g', '1', ...asRecorded],
  'a fragment for each keyframe': [
    ...[...picture, ...tone, ...seconds(4), ...h264, ...aac, ...flags('+frag_keyframe')],
  ],
  'one fragment, and one frame': [...picture, ...h264, '-frames:v', '1', ...asRecorded],
  'many fragments': [
    ...['-f', 'lavfi', '-i', 'testsrc2=size=64x36:rate=5', ...tone, ...seconds(60)],
    ...[...h264, ...aac, ...asRecorded, '-frag_duration', '150000'],
  ],
  'a title, a rotation, pixels that are not square': [
    ...[...picture, ...tone, ...seconds(2), '-vf', 'setsar=4/3', '-metadata', 'title=Front door'],
    ...['-metadata:s:v', 'rotate=90', ...h264, ...aac, ...asRecorded],
  ],
}

/** A file of the zoo, and its path. */
async function fragmentedFile(t: TestContext, args: string[]): Promise<string> {
  const path = join(await temporaryFolder(t), 'source.mp4')
  await run('ffmpeg', ['-v', 'error', ...args, path])
  return path
}

async function mediaByProbe(path: string): Promise<Media> {
  const verdict = await probeMedia(tools.ffprobe, path, never)
  assert.ok('playable' in verdict, JSON.stringify(verdict))
  return verdict.playable
}

/** That a file, written plain, is what FFmpeg would make of it. */
async function assertPlain(source: string): Promise<void> {
  const [plain, remuxed] = [`${source}.plain.mp4`, `${source}.remuxed.mp4`]
  const movie = await writePlain(source, plain)
  assert.ok(movie, 'the file is not known')
  const copy = ['-map', '0', '-c', 'copy', '-movflags', '+faststart']
  await run('ffmpeg', ['-v', 'error', '-i', source, ...copy, remuxed])

  assert.equal(await isFaststart(plain), true)
  assert.deepEqual(
    await readPlainMp4(plain),
    movie.tracks.map(({ samples }) => ({ packets: samples.length, bytes: samples.bytes })),
  )
  const packets = await packetsOf(plain)
  assert.equal(firstDifference(packets, await packetsOf(source)), undefined, 'as the source')
  assert.equal(firstDifference(packets, await packetsOf(remuxed)), undefined, 'as FFmpeg')
  const decoded = await run('ffmpeg', ['-v', 'error', '-xerror', '-i', plain, '-f', 'null', '-'])
  assert.equal(decoded.stderr, '')

  await assertSameMedia(movie, { source, plain, remuxed })
}

async function assertSameMedia(
  movie: FragmentedMp4,
  { source, plain, remuxed }: { source: string; plain: string; remuxed: string },
): Promise<void> {
  const read = movie.tracks.map(({ header: { type, codec, entry }, samples }) => {
    return { type, codec, tag: entry.toString('latin1', 4, 8), packets: samples.length }
  })
  const probed = await mediaByProbe(source)
  const written = await mediaByProbe(plain)
  assert.deepEqual(read, probed.streams)
  assert.deepEqual(written.streams, probed.streams)
  const ofRemux = (await mediaByProbe(remuxed)).durationSeconds
  const durations = [written.durationSeconds, ofRemux]
  // Of a fragmented file that begins late, ffprobe counts that twice.
  if (movie.tracks.every(({ samples }) => samples.times[0] === 0))
    durations.push(probed.durationSeconds)
  // FFmpeg gives the last piece of sound its full length: 1024 of 16,000 a second.
  const frameSeconds = 0.064
  const differSeconds = Math.max(...durations) - Math.min(...durations)
  assert.ok(differSeconds <= frameSeconds, durations.join(', '))
}

for (const [what, args] of Object.entries(zoo))
  test(`${what}: written plain it is what FFmpeg would make of it`, async (t) => {
    await assertPlain(await fragmentedFile(t, args))
  })

test('segments of the recorder, written plain, are what FFmpeg would make of them', async (t) => {
  const folder = await temporaryFolder(t)
  const whole = join(folder, 'whole.mp4')
  // In RTP's units, which the recorder counts with.
  const encoders = [...h264, ...bFrames, ...aac, '-video_track_timescale', '90000']
  await run('ffmpeg', ['-v', 'error', ...picture, ...tone, ...seconds(7), ...encoders, whole])
  const camera = { number: 1, name: 'Front', url: 'rtsp://camera', transport: 'tcp' } as const
  const { args } = recordingInput(
    { ...camera, audio: 'auto' },
    { video: 'h264', audio: 'aac' },
    {
      ...{ openFolder: folder, segmentSeconds: 2, stallAfterMs: 15_000, lateVideo: false },
      video: { codec: 'copy' },
    },
  )
  const output = args
    .slice(args.indexOf('-map'))
    .map((arg) => (arg === 'pipe:3' ? join(folder, 'list') : arg))
  await run('ffmpeg', ['-v', 'error', '-re', '-i', whole, ...output])
  const segments = (await readdir(folder)).filter((name) => name.startsWith('Front'))
  assert.ok(segments.length >= 3, segments.join(' '))
  for (const name of segments) await assertPlain(join(folder, name))
})

/** Adds ticks to when a fragment of a track begins, from the one with the number `from` on. */
function shiftFragments(content: Buffer, from: number, shifts: Record<number, number>): void {
  let fragments = -1
  for (let at = content.indexOf('tfdt'); at >= 0; at = content.indexOf('tfdt', at + 4)) {
    // Behind a `tfhd` of 28 bytes, whose track is its third word.
    const track = content.readUInt32BE(at - 20)
    if (track === 1) fragments += 1
    const time = at + 12
    if (fragments >= from)
      content.writeUInt32BE(content.readUInt32BE(time) + (shifts[track] ?? 0), time)
  }
}

for (const [what, from, shifts] of [
  ['fragments that begin later than the one before ends', 2, { 1: 270_000, 2: 48_000 }],
  ['fragments that begin earlier than the one before ends', 2, { 1: -900, 2: -100 }],
  ['sound whose first fragment begins late', 0, { 2: 24_000 }],
  ['video whose first fragment begins late', 0, { 1: 123_456 }],
  ['tracks that both begin late', 0, { 1: 90_000, 2: 17_000 }],
] as const)
  test(`${what}, written plain, are what FFmpeg would make of them`, async (t) => {
    const path = await fragmentedFile(t, zoo['H.264 with B-frames'] ?? [])
    const content = await readFile(path)
    shiftFragments(content, from, shifts)
    await writeFile(path, content)
    await assertPlain(path)
  })
