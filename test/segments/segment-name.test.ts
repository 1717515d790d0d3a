import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import test from 'node:test'
import {
  parseSegmentName,
  safeCameraName,
  segmentPattern,
  withSuffix,
} from '../../src/segments/segment-name.ts'

const names: [string, string][] = [
  ['Front', 'Front'],
  ['Haustür (links)', 'Haustur_links_'],
  ['Cámara Nº 1', 'Camara_No_1'],
  ['..hidden', 'hidden'],
  ['__x', 'x'],
  ['a/b\\c', 'a_b_c'],
  ['100%', '100_'],
  ['日本', 'Camera_1'],
  ['', 'Camera_1'],
]

for (const [name, safe] of names)
  test(`the camera "${name}" is ${safe} in file names`, () =>
    assert.equal(safeCameraName(name, 'Camera_1'), safe))

test('a name and its parts go back and forth', () => {
  const file = segmentPattern('Back_Yard').replace('%Y%m%d', '20250125').replace('%H%M%S', '153045')
  assert.equal(file, 'Back_Yard_20250125_153045.mp4')
  const parts = { camera: 'Back_Yard', date: '20250125', time: '153045' }
  assert.deepEqual(parseSegmentName(file), parts)
  assert.deepEqual(parseSegmentName(withSuffix(file, 2)), parts)
})

for (const file of [
  'x.mp4',
  'Front_20250125_153045.mkv',
  '_20250125_153045.mp4',
  'Front_20251301_153045.mp4',
  'Front_20250125_250000.mp4',
  'Front_2025012_153045.mp4',
])
  test(`${file} is not the name of a segment`, () =>
    assert.equal(parseSegmentName(file), undefined))

test('a suffix goes before the extension', () => {
  assert.equal(withSuffix('a.mp4', 1), 'a.mp4')
  assert.equal(withSuffix('a.b.mp4', 3), 'a.b_3.mp4')
})

test('in the repeated hour of a DST change the instant nearest to the hint is meant', () => {
  const script = `
    const { segmentStartMs } = await import('./src/segments/segment-name.ts')
    const at = (date, time, hint) => new Date(segmentStartMs({ date, time }, Date.parse(hint))).toISOString()
    console.log(JSON.stringify([
      at('20251026', '023000', '2025-10-26T00:31:00Z'),
      at('20251026', '023000', '2025-10-26T01:31:00Z'),
      at('20251026', '120000', '2025-10-26T00:00:00Z'),
    ]))`
  const answer = execFileSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', script],
    { env: { ...process.env, TZ: 'Europe/Berlin' } },
  )
  assert.deepEqual(JSON.parse(answer.toString()), [
    '2025-10-26T00:30:00.000Z',
    '2025-10-26T01:30:00.000Z',
    '2025-10-26T11:00:00.000Z',
  ])
})
