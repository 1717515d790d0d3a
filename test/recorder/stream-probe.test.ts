import assert from 'node:assert/strict'
import test from 'node:test'
import { StreamCheck } from '../../src/recorder/stream-probe.ts'

const lines = (...codecs: string[]): string[] => [
  "[info] Input #0, concat, from 'pipe:0':",
  ...codecs.map((codec, index) => `[info]   Stream #0:${index}: ${codec}, and more`),
  '[info] Stream mapping:',
  "[info] Output #0, segment, to '/x.mp4':",
  '[info]   Stream #0:0: Video: mjpeg, and more',
]

const cases: [string, string[], string[]][] = [
  ['what was expected is no difference', ['Video: h264 (High)', 'Audio: aac (LC)'], []],
  ['another video codec is one', ['Video: hevc (Main)', 'Audio: aac (LC)'], ['hevc']],
  ['another audio codec is one', ['Video: h264', 'Audio: pcm_mulaw'], ['pcm_mulaw']],
  [
    'only the first stream of a type counts',
    ['Video: h264', 'Audio: aac', 'Audio: mp2', 'Video: hevc'],
    [],
  ],
]

for (const [title, streams, expected] of cases)
  test(title, () => {
    const check = new StreamCheck({ video: 'h264', audio: 'aac' })
    const found = lines(...streams).flatMap((line) => check.differs(line) ?? [])
    assert.deepEqual(found, expected)
  })

test('another size is no difference, and is known from then on', () => {
  const check = new StreamCheck({ video: 'h264', width: 640, height: 360, audio: 'aac' })
  const video = 'Video: h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709), 1280x720 [SAR 1:1]'
  assert.ok(lines(video, 'Audio: aac').every((line) => check.differs(line) === undefined))
  assert.deepEqual(check.found, { video: 'h264', width: 1280, height: 720, audio: 'aac' })
})
