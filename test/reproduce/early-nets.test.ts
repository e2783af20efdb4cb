import { earlyNets } from "../../reproduce/experiments/early-nets.ts";
import { shortForms } from "./short-forms.ts";

shortForms(earlyNets);
