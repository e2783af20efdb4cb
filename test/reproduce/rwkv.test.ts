import { rwkv } from "../../reproduce/experiments/rwkv.ts";
import { shortForms } from "./short-forms.ts";

shortForms(rwkv);
