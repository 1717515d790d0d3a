import assert from 'node:assert/strict'
import test from 'node:test'
import type { Camera } from '../../src/recorder/config.ts'
import { isAsExpected, recordsSound } from '../../src/recorder/ffmpeg-args.ts'
import { StreamReader, type StreamInfo } from '../../src/recorder/stream-info.ts'

const camera: Camera = {
  ...{ number: 1, name: 'Front', url: 'rtsp://camera' },
  transport: 'tcp',
  audio: 'auto',
}
const picture =
  'Video: h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709), 1280x720 [SAR 1:1], 25 fps, 25 tbr, 90k tbn'

function read(...lines: string[]): StreamInfo | undefined {
  const reader = new StreamReader()
  const all = [
    "[info] Input #0, concat, from 'pipe:0':",
    ...lines.map((line, index) => `[info]   Stream #0:${index}: ${line}`),
    '[info] Stream mapping:',
    "[info] Output #0, segment, to '/x.mp4':",
    '[info]   Stream #0:0: Video: mjpeg, and more',
  ]
  assert.equal(all.filter((line) => reader.read(line)).length, 1)
  return reader.stream
}

test('FFmpeg names the codecs, the size and the unit of time', () => {
  const expected = { video: 'h264', width: 1280, height: 720, ticksPerSecond: 90_000 }
  assert.deepEqual(read(picture, 'Audio: aac (LC), 16000 Hz'), { ...expected, audio: 'aac' })
  assert.deepEqual(read(picture), { ...expected, audio: undefined })
  assert.equal(read(picture.replace('90k tbn', '1k tbn'))?.ticksPerSecond, 1000)
})

test('only the first stream of a type counts', () => {
  const stream = read('Video: h264', 'Audio: aac', 'Audio: mp2', 'Video: hevc')
  assert.deepEqual({ ...stream }, { video: 'h264', audio: 'aac' })
})

test('sound that FFmpeg does not know is unknown', () => {
  const reader = new StreamReader()
  const warning =
    '[rtsp] [warning] Could not find codec parameters for stream 1 (Audio: none, 16000 Hz, mono): unknown codec'
  for (const line of [warning, '[info] Input #0', `[info] Stream #0:0: ${picture}`])
    reader.read(line)
  assert.equal(reader.stream?.audio, 'unknown')
  assert.equal(recordsSound(camera, reader.stream), false)
})

const cases: [string, StreamInfo | undefined, StreamInfo, boolean][] = [
  [
    'what is known is expected',
    { video: 'h264', audio: 'aac' },
    { video: 'h264', audio: 'aac' },
    true,
  ],
  ['nothing known, AAC', undefined, { video: 'hevc', audio: 'aac' }, true],
  ['nothing known, no sound', undefined, { video: 'h264' }, true],
  [
    'nothing known, G.711, which needs another container',
    undefined,
    { video: 'h264', audio: 'pcm_alaw' },
    false,
  ],
  [
    'nothing known, sound that cannot be recorded',
    undefined,
    { video: 'h264', audio: 'qcelp' },
    false,
  ],
  [
    'nothing known, sound of an unknown codec',
    undefined,
    { video: 'h264', audio: 'unknown' },
    true,
  ],
  ['another picture', { video: 'h264' }, { video: 'hevc' }, false],
  ['sound that came', { video: 'h264' }, { video: 'h264', audio: 'aac' }, true],
  ['sound that went', { video: 'h264', audio: 'pcm_alaw' }, { video: 'h264' }, true],
  [
    'AAC instead of G.711',
    { video: 'h264', audio: 'pcm_alaw' },
    { video: 'h264', audio: 'aac' },
    false,
  ],
  [
    'another G.711',
    { video: 'h264', audio: 'pcm_alaw' },
    { video: 'h264', audio: 'pcm_mulaw' },
    true,
  ],
]
for (const [title, known, found, expected] of cases)
  test(`FFmpeg is started anew only where it must be: ${title}`, () => {
    assert.equal(isAsExpected(camera, known, found), expected)
  })
