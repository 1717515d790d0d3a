import assert from 'node:assert/strict'
import test from 'node:test'
import { findFootage, holesIn } from '../../src/cli/find-footage.ts'
import { foundText, nothingText } from '../../src/cli/find-text.ts'
import type { Stretch } from '../../src/cli/stretches.ts'

const beginMs = new Date(2025, 0, 25, 15, 0, 0).getTime()
const minuteMs = 60_000

/** Ten minutes from a minute past three on. */
function stretch(camera: string, minute: number): Stretch {
  const fromMs = beginMs + minute * minuteMs
  const file = `${camera}_20250125_15${String(minute).padStart(2, '0')}00.mp4`
  return { camera, file, fromMs, toMs: fromMs + 10 * minuteMs }
}

const all = [stretch('Side', 0), stretch('Front', 10), stretch('Front', 0), stretch('Front', 20)]

function at(minute: number, toMinute = minute) {
  return { fromMs: beginMs + minute * minuteMs, toMs: beginMs + toMinute * minuteMs }
}

test('a moment is found in one file of each camera, with the place in it', () => {
  const found = findFootage(all, at(3.5))
  assert.deepEqual(
    found.map(({ stretch: { camera, file }, offsetSeconds }) => [camera, file, offsetSeconds]),
    [
      ['Front', 'Front_20250125_150000.mp4', 210],
      ['Side', 'Side_20250125_150000.mp4', 210],
    ],
  )
  assert.deepEqual(
    findFootage(all, at(10)).map(({ stretch: { file } }) => file),
    ['Front_20250125_151000.mp4'],
  )
  assert.deepEqual(findFootage(all, at(31)), [])
})

test('of two files that follow each other a moment is in one, though they overlap or leave a second', () => {
  const place = (firstLastsMs: number, offsetMs: number) => {
    const first = { ...stretch('Front', 0), toMs: beginMs + firstLastsMs }
    const atMs = beginMs + 10 * minuteMs + offsetMs
    const found = findFootage([first, stretch('Front', 10)], { fromMs: atMs, toMs: atMs })
    return found.map((it) => [it.stretch.file.slice(-8, -4), it.offsetSeconds, it.untilSeconds])
  }
  assert.deepEqual(place(600_040, 0), [['1000', 0, 0]])
  assert.deepEqual(place(600_040, -500), [['0000', 599.04, 599.04]])
  assert.deepEqual(place(598_600, -1000), [['0000', 597.6, 597.6]])
  assert.deepEqual(place(597_000, -1000), [])
})

test('a time that begins where a file ends is not in it', () => {
  const first = { ...stretch('Front', 0), toMs: beginMs + 600_040 }
  assert.deepEqual(
    findFootage([first, stretch('Front', 10)], at(10, 12)).map((it) => it.stretch.file),
    ['Front_20250125_151000.mp4'],
  )
})

test('a time is found in all files that show some of it, from where to where', () => {
  assert.deepEqual(
    findFootage(all, at(9, 22)).map(({ stretch: { file }, offsetSeconds, untilSeconds }) => [
      file.slice(0, -4),
      offsetSeconds,
      untilSeconds,
    ]),
    [
      ['Front_20250125_150000', 540, 600],
      ['Front_20250125_151000', 0, 600],
      ['Front_20250125_152000', 0, 120],
      ['Side_20250125_150000', 540, 600],
    ],
  )
})

test('what is found is said in a few lines', () => {
  const [first] = findFootage([{ ...stretch('Front', 0), path: '/srv/uploaded/a.mp4' }], at(3.5, 5))
  assert.ok(first)
  assert.equal(
    foundText({ ...first, url: 'https://example/a.mp4#t=210.0' }),
    [
      'Front  Front_20250125_150000.mp4, from 3:30 to 5:00 (it lasts 10:00)',
      '  on disk  /srv/uploaded/a.mp4',
      '  play     https://example/a.mp4#t=210.0',
      '',
    ].join('\n'),
  )
})

test('where there is nothing, the gap says why', () => {
  const gap = { camera: 'Front', ...at(2, 5), reason: 'camera silent' }
  const nowMs = at(60).fromMs
  assert.equal(
    nothingText({ camera: 'Front', asked: at(3) }, [gap], nowMs),
    'Front  nothing at 2025-01-25 15:03:00: camera silent (2025-01-25 15:02:00 – 15:05:00, 3 min)\n',
  )
  assert.equal(
    nothingText({ camera: 'Front', asked: at(7, 8) }, [gap], nowMs),
    'Front  nothing is known of any footage from 2025-01-25 15:07:00 to 2025-01-25 15:08:00\n',
  )
  assert.equal(
    nothingText({ camera: 'Front', asked: at(61) }, [gap], nowMs),
    'Front  nothing at 2025-01-25 16:01:00: that is still to come\n',
  )
})

test('of a time that was found in part, it is known what is missing', () => {
  const front = all.filter(({ camera }) => camera === 'Front')
  const found = (minutes: [number, number]) => findFootage(front, at(...minutes))
  assert.deepEqual(holesIn(found([5, 25]), at(5, 25)), [])
  assert.deepEqual(holesIn(found([25, 40]), at(25, 40)), [at(30, 40)])
  assert.deepEqual(holesIn(found([5, 5]), at(5)), [])
})
