import { boltzmann } from "../../reproduce/experiments/boltzmann.ts";
import { shortForms } from "./short-forms.ts";

shortForms(boltzmann);
