import { ortNode } from '@ediffi/backends/ort-node'; import { float32, int64, hostTensor } from '@ediffi/core'; import fs from 'node:fs'; import { dirname } from 'node:path';
const [,, path, L, inst='{}']=process.argv; const h=+L;
const mem=()=>{const s=fs.readFileSync('/proc/self/status','utf8');return ['VmHWM','VmRSS','RssAnon','RssFile'].map(k=>k+' '+(+/(\d+)/.exec(s.split(k+':')[1])[1]/2**20).toFixed(2)).join(' ')};
const b=ortNode({threads:2}); let t=Date.now();
const s=await b.load({name:'unet',path,bytes:async()=>{throw 1}},{instrument:JSON.parse(inst)});
console.log('open',(Date.now()-t)/1e3,mem());
const half=s.inputs[0].dtype==='float16';
const T=(d)=>{const n=d.reduce((a,b)=>a*b,1);return half?hostTensor(new Uint16Array(n).fill(0x3800),d,'float16'):float32(Float32Array.from({length:n},(_,i)=>Math.sin(i)),d)};
const feeds={sample:T([2,4,h,h]),encoder_hidden_states:T([2,77,768])};
for (const i of s.inputs){ if(i.name==='timestep') feeds.timestep=hostTensor(BigInt64Array.from({length:i.shape.length?2:1},()=>3n),i.shape.length?[2]:[], 'int64');
 const m=/regions_s(\d+)/.exec(i.name); if(m) feeds[i.name]=float32(new Float32Array((Math.ceil(h/m[1])**2)*77).fill(.1),[1,1,Math.ceil(h/m[1])**2,77]); if(i.name==='regions_strength') feeds[i.name]=float32([1],[1,1,1,1]); }
for(let k=0;k<2;k++){t=Date.now(); const r=await s.run(feeds); console.log('run',(Date.now()-t)/1e3,mem(), r.out_sample.data[0]); if(h>16) break;}
await b.dispose(); console.log('disposed',mem());
