import { gatedStore } from "../../reproduce/experiments/gated-store.ts";
import { shortForms } from "./short-forms.ts";

shortForms(gatedStore);
