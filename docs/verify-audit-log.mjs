// Checks a proof of the audit log, and that a newer checkpoint extends an older one. It uses nothing of Ringback.
//
// node verify-audit-log.mjs proof PUBLIC_KEY proof.json
// node verify-audit-log.mjs consistency PUBLIC_KEY older.txt newer.txt https://ringback.example.com/v1/audit/log   (API key in RINGBACK_KEY)
//
// PUBLIC_KEY is `name+id+key`, as C2SP signed-note defines it.

import { createHash, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'

const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
const leafHash = (leaf) => sha256(Buffer.of(0), leaf)
const nodeHash = (left, right) => sha256(Buffer.of(1), left, right)

function fail(why) {
  console.error(`invalid: ${why}`)
  process.exit(1)
}

/** The size and the root of a checkpoint, after its signature was checked. */
function openCheckpoint(text, key) {
  const [name, id, encoded] = key.split(/\+(.{8})\+/s)
  const end = text.lastIndexOf('\n\n') + 1
  const body = text.slice(0, end)
  const [origin, size, root] = body.split('\n')
  const publicKey = createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(encoded, 'base64').subarray(1)]),
    format: 'der',
    type: 'spki',
  })
  const isSigned = text.slice(end + 1).split('\n').some((line) => {
    const [dash, signer, signature] = line.split(' ')
    const bytes = Buffer.from(signature ?? '', 'base64')
    return dash === '—' && signer === name && bytes.subarray(0, 4).toString('hex') === id &&
      verify(null, Buffer.from(body), publicKey, bytes.subarray(4))
  })
  if (origin !== name || !isSigned) fail('the checkpoint is not signed with this key')
  return { size: Number(size), root: Buffer.from(root, 'base64') }
}

/** JSON in the form of RFC 8785. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`
}

/** RFC 9162, section 2.1.3.2. */
function rootFromInclusion(index, size, leaf, path) {
  let [fn, sn, hash] = [index, size - 1, leaf]
  for (const sibling of path) {
    if (sn === 0) fail('the inclusion proof is too long')
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
  }
  if (sn !== 0) fail('the inclusion proof is too short')
  return hash
}

/** The root of RFC 6962 over these hashes. */
function rootOf(hashes) {
  if (hashes.length === 1) return hashes[0]
  let split = 1
  while (split * 2 < hashes.length) split *= 2
  return nodeHash(rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)))
}

function checkProof(key, file) {
  const proof = JSON.parse(readFileSync(file, 'utf8'))
  const { size, root } = openCheckpoint(proof.checkpoint, key)
  const path = proof.inclusionProof.map((hash) => Buffer.from(hash, 'base64'))
  const leaf = leafHash(Buffer.from(canonical(proof.entry)))
  if (!rootFromInclusion(proof.leafIndex, size, leaf, path).equals(root)) fail('the entry is not in the log')
}

/** Reads all hashes of the leaves: simple, and enough for a log of some million entries. */
async function readLeaves(log, size) {
  const leaves = []
  for (let tile = 0; leaves.length < size; tile++) {
    const width = Math.min(256, size - leaves.length)
    const digits = String(tile).padStart(Math.ceil(String(tile).length / 3) * 3, '0').match(/.{3}/g)
    const path = digits.map((part, at) => (at < digits.length - 1 ? `x${part}` : part)).join('/')
    const url = `${log}/tile/0/${path}${width < 256 ? `.p/${width}` : ''}`
    const answer = await fetch(url, { headers: { authorization: `Bearer ${process.env.RINGBACK_KEY}` } })
    if (!answer.ok) fail(`${url} answers ${answer.status}`)
    const hashes = Buffer.from(await answer.arrayBuffer())
    for (let at = 0; at < hashes.length; at += 32) leaves.push(hashes.subarray(at, at + 32))
  }
  return leaves
}

async function checkConsistency(key, olderFile, newerFile, log) {
  const [older, newer] = [olderFile, newerFile].map((file) => openCheckpoint(readFileSync(file, 'utf8'), key))
  if (older.size > newer.size) fail('the newer checkpoint covers fewer entries')
  const leaves = await readLeaves(log, newer.size)
  if (!rootOf(leaves).equals(newer.root)) fail('the tiles do not have the root of the newer checkpoint')
  if (!rootOf(leaves.slice(0, older.size)).equals(older.root)) fail('the log was rewritten after the older checkpoint')
}

const [what, key, ...files] = process.argv.slice(2)
if (what === 'proof') checkProof(key, ...files)
else if (what === 'consistency') await checkConsistency(key, ...files)
else fail('the first argument is `proof` or `consistency`')
console.log('valid')
